// Measures how long a group is viewed, and each version at 100 %, without pauses, by the monotonic clock.

export class Clock {
  #seconds = 0;
  #since = null;
  #pausedAt = null;
  #pauses = [];
  #fullZoom = []; // seconds at 100 % of each version
  #inView = []; // indices of the versions at 100 % now
  #countedTo = 0;

  /**
   * @param numVersions how many versions the group has
   * @param earlier the reading when the group was last left, if it is opened again
   */
  start(numVersions, earlier = {seconds: 0, pauses: [], full_zoom_s: Array(numVersions).fill(0)}) {
    this.#seconds = earlier.seconds;
    this.#pauses = [...earlier.pauses];
    this.#fullZoom = [...earlier.full_zoom_s];
    this.#countedTo = earlier.seconds;
    this.#pausedAt = null;
    this.#since = performance.now();
  }

  pause() {
    if (this.#since !== null && this.#pausedAt === null) {
      this.#seconds += (performance.now() - this.#since) / 1000;
      this.#pausedAt = performance.now();
    }
  }

  resume() {
    if (this.#pausedAt !== null) {
      this.#pauses.push([this.#seconds, (performance.now() - this.#pausedAt) / 1000]);
      this.#pausedAt = null;
      this.#since = performance.now();
    }
  }

  /** Note the versions, counted from 0, that are at 100 % from now on. */
  view(versions) {
    const now = this.#now();
    for (const version of this.#inView) {
      this.#fullZoom[version] += now - this.#countedTo;
    }
    this.#countedTo = now;
    this.#inView = versions;
  }

  /** Seconds viewed, in total and at 100 %, pauses as [seconds before, seconds], and the local time. */
  read() {
    this.view(this.#inView);
    return {
      seconds: this.#now(),
      full_zoom_s: [...this.#fullZoom],
      pauses: this.#pauses,
      end_ms: Date.now(),
      utc_offset_min: -new Date().getTimezoneOffset(),
    };
  }

  #now() {
    const running = this.#since !== null && this.#pausedAt === null ? (performance.now() - this.#since) / 1000 : 0;
    return this.#seconds + running;
  }
}
