// Answers on their way to the server. Each is kept in the browser until the server has it on disk, so that neither a
// lost network nor a reload loses one. Of several answers to the same group only the last is sent. What the server
// refuses, such as an answer to a group that was dealt to somebody else meanwhile, stays there until the next reload.

import {Refusal, requestJson, wait} from "./server.js";

const LONGEST_WAIT = 10;

export class Outbox {
  #entries = new Map();
  #versions = new Map(); // of each answer, as last seen; the server refuses to replace another
  #listeners = new Map();
  #refused = new Set();
  #isSending = false;
  #prefix;
  #tell;

  /**
   * @param owner tells apart the answers of several people, and of several rounds, in one browser
   * @param tell called with what changes: ("sending", {}), ("waiting", {count, error}) with the server's words or "" if
   *   it is not reached, ("refused", {error}), ("conflict", {id, isSkip}), ("idle", {refused}) with the number of those
   */
  constructor(owner, tell) {
    this.#prefix = `hggt:${owner}:`;
    this.#tell = tell;
    const kept = Object.keys(localStorage)
      .filter((key) => key.startsWith(this.#prefix))
      .map((key) => JSON.parse(localStorage.getItem(key)));
    for (const entry of kept.sort((one, other) => one.time - other.time)) {
      this.#entries.set(entry.id, entry);
      this.#versions.set(entry.id, entry.replaces);
    }
    void this.#send();
  }

  get size() {
    return this.#entries.size;
  }

  /** What waits to be sent for an item; undefined if nothing. */
  waiting(id) {
    return this.#entries.get(id)?.body;
  }

  /** The person has seen this version of an answer, and whatever they send next replaces it. */
  learn(id, version) {
    this.#versions.set(id, version);
  }

  /** Send a body for an item to a path; resolves to the server's answer, or to null if it is refused for good. */
  put(id, path, body) {
    const {time = Date.now(), sent = []} = this.#entries.get(id) ?? {};
    this.#refused.delete(id);
    this.#keep({id, path, body, time, sent, replaces: this.#versions.get(id) ?? null});
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
      this.#tell("sending", {});
      try {
        await this.#deliver(entry);
        pause = 1;
      } catch (error) {
        if (!(error instanceof Refusal && error.mayPass)) {
          throw error;
        }
        this.#tell("waiting", {count: this.size, error: error.status ? error.message : ""});
        await wait(error.waitSeconds || pause);
        pause = Math.min(LONGEST_WAIT, 2 * pause);
      }
    }
    this.#isSending = false;
    this.#tell("idle", {refused: this.#refused.size});
  }

  async #deliver(entry) {
    const replaces = this.#versions.get(entry.id) ?? null;
    entry.sent.push(JSON.stringify(entry.body.labels));
    this.#keep(this.#entries.get(entry.id));
    try {
      const response = await requestJson(entry.path, {...entry.body, replaces});
      this.#versions.set(entry.id, response.version ?? null);
      this.#done(entry, response);
    } catch (error) {
      if (!(error instanceof Refusal) || error.mayPass) {
        throw error;
      }
      const {version, labels} = error.body;
      if (entry.body.labels && error.status === 409 && version !== replaces && entry.sent.includes(JSON.stringify(labels))) {
        // An earlier answer of this page had arrived, though its reply had not; the person has changed it since.
        this.#versions.set(entry.id, version);
        return;
      }
      if (error.status === 409) {
        this.#tell("conflict", {id: entry.id, isSkip: !entry.body.labels});
      } else {
        this.#refused.add(entry.id);
        this.#tell("refused", {error: error.message});
      }
      this.#done(entry, null, error.status !== 409);
    }
  }

  #keep(entry) {
    this.#entries.set(entry.id, entry);
    try {
      localStorage.setItem(this.#prefix + entry.id, JSON.stringify(entry));
    } catch {
      // The browser keeps nothing (a private window, no room): it stays in this page, which warns before it is closed.
    }
  }

  #done(entry, response, isKept = false) {
    if (this.#entries.get(entry.id).body !== entry.body) {
      return; // changed while it was on its way: sent again
    }
    this.#entries.delete(entry.id);
    if (!isKept) {
      localStorage.removeItem(this.#prefix + entry.id);
    }
    this.#listeners.get(entry.id)?.(response);
    this.#listeners.delete(entry.id);
  }
}
