// Measures how long a group is viewed, and each part of each version at 100 %, without pauses, by the monotonic clock.

export class Clock {
  #seconds = 0;
  #since = null;
  #pausedAt = null;
  #pauses = [];
  #coverage = null;
  #inView = {versions: [], box: null}; // at 100 % now
  #countedTo = 0;

  /**
   * @param coverage counts the parts in view
   * @param earlier the reading when the group was last left, if it is opened again
   */
  start(coverage, earlier = {seconds: 0, pauses: []}) {
    this.#seconds = earlier.seconds;
    this.#pauses = [...earlier.pauses];
    this.#coverage = coverage;
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

  /** Note the versions, counted from 0, and the box of them that are in view at 100 % from now on. */
  view(versions, box) {
    this.#count();
    this.#inView = {versions, box};
  }

  /** Seconds viewed, in total and of the least seen part at 100 %, pauses as [seconds before, seconds], and the local time. */
  read() {
    this.#count();
    return {
      seconds: this.#now(),
      full_zoom_s: this.#coverage.leastSeconds(),
      pauses: this.#pauses,
      end_ms: Date.now(),
      utc_offset_min: -new Date().getTimezoneOffset(),
    };
  }

  #count() {
    const now = this.#now();
    const {versions, box} = this.#inView;
    if (versions.length && now > this.#countedTo) {
      this.#coverage?.add(now - this.#countedTo, versions, box);
    }
    this.#countedTo = now;
  }

  #now() {
    const running = this.#since !== null && this.#pausedAt === null ? (performance.now() - this.#since) / 1000 : 0;
    return this.#seconds + running;
  }
}
