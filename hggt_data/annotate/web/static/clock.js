// How long a group is looked at, by a clock that nobody can set, and without pauses.

export class Clock {
  #seconds = 0;
  #since = null;
  #pausedAt = null;
  #pauses = [];

  /** @param earlier what was read when the group was left, if it is opened again */
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

  goOn() {
    if (this.#pausedAt !== null) {
      this.#pauses.push([this.#seconds, (performance.now() - this.#pausedAt) / 1000]);
      this.#pausedAt = null;
      this.#since = performance.now();
    }
  }

  /** Seconds looked at, the pauses as [seconds before, seconds], and the person's time of day. */
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
