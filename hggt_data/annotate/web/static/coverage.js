// For how long each part of each version was in view at 100 % or more. Parts are squares, each judged by its middle.

const PART_PX = 32;

export class Coverage {
  #size;
  #columns;
  #rows;
  #seconds; // of each version, by part, row after row

  constructor(numVersions, width, height) {
    this.#size = {width, height};
    [this.#columns, this.#rows] = [Math.ceil(width / PART_PX), Math.ceil(height / PART_PX)];
    this.#seconds = Array.from({length: numVersions}, () => new Float64Array(this.#columns * this.#rows));
  }

  /** Add seconds in which a box {left, top, right, bottom} of these versions, counted from 0, was in view. */
  add(seconds, versions, {left, top, right, bottom}) {
    const {width, height} = this.#size;
    const [firstColumn, endColumn] = partsIn(left, right, width / this.#columns, this.#columns);
    const [firstRow, endRow] = partsIn(top, bottom, height / this.#rows, this.#rows);
    for (const parts of versions.map((version) => this.#seconds[version])) {
      for (let row = firstRow; row < endRow; row++) {
        for (let part = row * this.#columns + firstColumn; part < row * this.#columns + endColumn; part++) {
          parts[part] += seconds;
        }
      }
    }
  }

  /** Of each version, for how long the part that was in view least was. */
  leastSeconds() {
    return this.#seconds.map((parts) => parts.reduce((least, value) => Math.min(least, value), Infinity));
  }

  /** The parts that were in view for less than so long in any of these versions, as boxes. */
  missing(seconds, versions) {
    const [width, height] = [this.#size.width / this.#columns, this.#size.height / this.#rows];
    return [...this.#seconds[0].keys()]
      .filter((part) => versions.some((version) => this.#seconds[version][part] < seconds))
      .map((part) => ({
        left: (part % this.#columns) * width,
        top: Math.floor(part / this.#columns) * height,
        width,
        height,
      }));
  }
}

/** The first part whose middle is between two edges, and the first one after them. */
function partsIn(from, to, size, count) {
  return [from, to].map((edge) => Math.min(count, Math.max(0, Math.ceil(edge / size - 0.5))));
}
