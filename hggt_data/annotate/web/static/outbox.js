// Answers to be sent. Each is stored in the browser until the server has it on disk, so that neither a lost connection
// nor a reload loses one. Only the last of several answers to a group is sent. A refused answer, such as one to a group
// that was reassigned, stays stored and is sent again at the next reload.

import {RequestError, requestJson, wait} from "./server.js";

const LONGEST_WAIT_S = 10;

export class Outbox {
  #entries = new Map();
  #versions = new Map(); // the last version seen of each answer; the server refuses to replace any other
  #listeners = new Map();
  #refused = new Set();
  #isSending = false;
  #prefix;
  #onChange;

  /**
   * @param owner distinguishes annotators and rounds that share a browser
   * @param onChange called with ("sending", {}), ("waiting", {count, error}) where error is "" without a connection,
   *   ("refused", {error}), ("conflict", {id, isSkip}) or ("idle", {refused}) with the number of refused answers
   */
  constructor(owner, onChange) {
    this.#prefix = `hggt:${owner}:`;
    this.#onChange = onChange;
    const stored = Object.keys(localStorage)
      .filter((key) => key.startsWith(this.#prefix))
      .map((key) => JSON.parse(localStorage.getItem(key)));
    for (const entry of stored.sort((one, other) => one.time - other.time)) {
      this.#entries.set(entry.id, entry);
      this.#versions.set(entry.id, entry.replaces);
    }
    void this.#send();
  }

  get size() {
    return this.#entries.size;
  }

  /** The answer or skip of an item that is still to be sent; undefined if none. */
  pending(id) {
    return this.#entries.get(id)?.body;
  }

  /** Record the version of an answer that the annotator has seen and that the next one replaces. */
  setVersion(id, version) {
    this.#versions.set(id, version);
  }

  /** Send a body to a path; resolves to the response, or to null if it is refused permanently. */
  put(id, path, body) {
    const {time = Date.now(), sent = []} = this.#entries.get(id) ?? {};
    this.#refused.delete(id);
    this.#store({id, path, body, time, sent, replaces: this.#versions.get(id) ?? null});
    const delivered = new Promise((resolve) => this.#listeners.set(id, resolve));
    void this.#send();
    return delivered;
  }

  async #send() {
    if (this.#isSending) {
      return;
    }
    this.#isSending = true;
    let pause = 1;
    while (this.size) {
      const [entry] = this.#entries.values();
      this.#onChange("sending", {});
      try {
        await this.#deliver(entry);
        pause = 1;
      } catch (error) {
        if (!(error instanceof RequestError && error.isTemporary)) {
          throw error;
        }
        this.#onChange("waiting", {count: this.size, error: error.status ? error.message : ""});
        await wait(error.waitSeconds || pause);
        pause = Math.min(LONGEST_WAIT_S, 2 * pause);
      }
    }
    this.#isSending = false;
    this.#onChange("idle", {refused: this.#refused.size});
  }

  async #deliver(entry) {
    const replaces = this.#versions.get(entry.id) ?? null;
    entry.sent.push(JSON.stringify(entry.body.labels));
    this.#store(this.#entries.get(entry.id));
    try {
      const response = await requestJson(entry.path, {...entry.body, replaces});
      this.#versions.set(entry.id, response.version ?? null);
      this.#finish(entry, response);
    } catch (error) {
      if (!(error instanceof RequestError) || error.isTemporary) {
        throw error;
      }
      const {version, labels} = error.body;
      if (entry.body.labels && error.status === 409 && version !== replaces && entry.sent.includes(JSON.stringify(labels))) {
        // An earlier answer of this page had arrived, but the response was lost; the annotator has changed it since.
        this.#versions.set(entry.id, version);
        return;
      }
      if (error.status === 409) {
        this.#onChange("conflict", {id: entry.id, isSkip: !entry.body.labels});
      } else {
        this.#refused.add(entry.id);
        this.#onChange("refused", {error: error.message});
      }
      this.#finish(entry, null, error.status !== 409);
    }
  }

  #store(entry) {
    this.#entries.set(entry.id, entry);
    try {
      localStorage.setItem(this.#prefix + entry.id, JSON.stringify(entry));
    } catch {
      // The browser cannot store it (private window, quota): it stays in this page, which warns before it is closed.
    }
  }

  #finish(entry, response, isStored = false) {
    if (this.#entries.get(entry.id).body !== entry.body) {
      return; // changed while it was being sent: sent again
    }
    this.#entries.delete(entry.id);
    if (!isStored) {
      localStorage.removeItem(this.#prefix + entry.id);
    }
    this.#listeners.get(entry.id)?.(response);
    this.#listeners.delete(entry.id);
  }
}
