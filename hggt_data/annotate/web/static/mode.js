// How the pages of a round are answered: with a label for each version, or by choosing one of the versions.

const OPPOSITE = {Positive: "Negative", Similar: "Similar", Negative: "Positive"};
const ENLARGED = {nearest: "enlarged_nearest", bicubic: "enlarged_bicubic"};

export class Mode {
  #isBlind;

  /** @param round what the server says of the round; `study` is missing where it is not a study */
  constructor({study, is_blind: isBlind, num_candidates: numCandidates}) {
    this.#isBlind = isBlind;
    this.isChoice = isBlind || Boolean(study);
    this.isPairOfStudy = study?.num_versions === 2;
    this.hasTies = isBlind || Boolean(study?.has_ties);
    this.numPictures = numCandidates + 1;
    // The first picture is the original or a reference, unless all are versions.
    this.first = isBlind || study?.has_reference === false ? 0 : 1;
    this.numVersions = this.numPictures - this.first;
    this.numLabels = isBlind ? 1 : this.numVersions;
    this.firstName = ENLARGED[study?.enlargement] ?? "original";
    this.firstShortName = study?.enlargement ? "enlarged_short" : "original";
    // Whether a version can be held against another picture: the first one, or the other of a pair.
    this.hasOther = this.first === 1 || this.numVersions === 2;
  }

  /** The labels that say that a version, counted from 0, is preferred; null for a tie. */
  labelsOf(version) {
    const labels = Array.from({length: this.numVersions}, (_, k) =>
      version === null ? "Similar" : k === version ? "Positive" : "Negative",
    );
    return labels.slice(0, this.numLabels); // of a blind pair, one label compares the first with the second
  }

  /** A label for each version, from the labels that are sent. */
  spread(labels) {
    return this.#isBlind ? [labels[0], OPPOSITE[labels[0]] ?? null] : labels;
  }
}
