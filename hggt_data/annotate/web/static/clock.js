// Measures how long a group is viewed, without pauses, by the monotonic clock.

export class Clock {
  #seconds = 0;
  #since = null;
  #pausedAt = null;
  #pauses = [];

  /** @param earlier the reading when the group was last left, if it is opened again */
  start(earlier = {seconds: 0, pauses: []}) {
    this.#seconds = earlier.seconds;
    this.#pauses = [...earlier.pauses];
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

  /** Seconds viewed, pauses as [seconds before, seconds], and the local time. */
  read() {
    const running = this.#since !== null && this.#pausedAt === null ? (performance.now() - this.#since) / 1000 : 0;
    return {
      seconds: this.#seconds + running,
      pauses: this.#pauses,
      end_ms: Date.now(),
      utc_offset_min: -new Date().getTimezoneOffset(),
    };
  }
}
