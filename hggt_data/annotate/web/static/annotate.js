// The annotation page: one group after the other.

import {Clock} from "./clock.js";
import {askConsent} from "./consent.js";
import {Coverage} from "./coverage.js";
import {listenToKeys, showKeys} from "./keys.js";
import {showBlocks} from "./markdown.js";
import {Mode} from "./mode.js";
import {Outbox} from "./outbox.js";
import {loadTexts, RequestError, requestJson, requestPicture, wait} from "./server.js";
import {Stage} from "./stage.js";

const IDLE_SECONDS = 180;
const GROUPS_AHEAD = 2;
const GROUPS_KEPT = 5;

const $ = (id) => document.getElementById(id);
const text = await loadTexts();

class Page {
  #round;
  #mode;
  #batch = 0;
  #items = [];
  #index = 0;
  #labels = [];
  #saved = []; // the labels that are saved or being sent
  #history = []; // earlier {labels, position} of this group, for undo
  #drafts = new Map(); // unfinished groups: {labels, reading, coverage} by item
  #answered = []; // indices in the order of answering, for undo
  #pictures = new Map();
  #clock = new Clock();
  #coverage = null;
  #times = [];
  #idle = null;
  #turn = 0; // increases with each navigation, so that late responses are ignored
  #stage;
  #outbox;

  async start() {
    this.#round = await this.#retry(() => requestJson("api/round"));
    while (this.#round.consent) {
      await askConsent(this.#round.consent, text);
      this.#round = await this.#retry(() => requestJson("api/round"));
    }
    // By annotator, not by URL: a new URL sends what the old one could not.
    this.#outbox = new Outbox(this.#round.annotator, (state, detail) => this.#showSaving(state, detail));
    this.#mode = new Mode(this.#round);
    this.#stage = new Stage($("stage"), text, this.#mode, {
      label: (position, label) => this.#answer(position, label),
      zoom: () => this.#showZoom(),
      view: (versions, box) => this.#clock.view(versions, box),
    });
    const {instructions} = this.#round;
    showBlocks($("instructions-text"), instructions, (path) => `api/${path}`);
    $("instructions").hidden = !instructions.length;
    this.#fillBatches();
    this.#listen();
    if (this.#round.required_full_zoom_s) {
      setInterval(() => this.#stage.isShown && this.#stage.mark(this.#unseenParts(this.#unseen())), 250);
    }
    const first = this.#round.batches.findIndex((batch) => batch.open > 0);
    await this.#openBatch(first < 0 ? 0 : first);
    if (instructions.length && !localStorage.getItem(`hggt-read:${this.#round.annotator}`)) {
      this.#openDialog("instructions");
      localStorage.setItem(`hggt-read:${this.#round.annotator}`, "1");
    }
  }

  get #item() {
    return this.#items[this.#index];
  }

  get #isPractice() {
    return this.#round.batches[this.#batch].is_practice;
  }

  get #isChanged() {
    return this.#labels.some((label, k) => label !== this.#saved[k]);
  }

  // Batches and groups

  #fillBatches() {
    $("batch").replaceChildren(
      ...this.#round.batches.map((batch, number) => {
        const option = document.createElement("option");
        option.value = number;
        const practice = this.#round.batches[0].is_practice ? 0 : 1;
        option.textContent = batch.is_practice ? text("practice") : text("batch", {number: number + practice});
        return option;
      }),
    );
  }

  async #openBatch(number) {
    this.#closeGroup();
    const turn = ++this.#turn;
    $("batch").value = number;
    const items = this.#round.batches.length ? await this.#retry(() => requestJson(`api/batches/${number}`)) : [];
    if (turn !== this.#turn) {
      return;
    }
    this.#batch = number;
    this.#items = items;
    this.#answered = [];
    for (const item of this.#items) {
      const pending = this.#outbox.pending(item.id);
      item.state = pending ? (pending.labels ? "saved" : "skipped") : item.state;
    }
    const first = this.#items.findIndex((item) => item.state === "open");
    if (first < 0) {
      this.#showDone();
    } else {
      await this.#openGroup(first);
    }
  }

  async #openGroup(index) {
    this.#closeGroup();
    this.#index = index;
    this.#history = [];
    this.#saved = Array(this.#mode.numLabels).fill(null);
    this.#labels = [...this.#saved];
    const turn = ++this.#turn;
    const item = this.#item;
    this.#showLabels();
    this.#stage.select(this.#stage.first);
    this.#showQuestion(item.question);
    this.#showProgress();
    this.#showStatus(text("loading"));
    const [saved, pictures] = await Promise.all([
      this.#loadLabels(item),
      this.#retry(() => this.#loadPictures(item.id)),
    ]);
    if (turn !== this.#turn) {
      return;
    }
    const draft = this.#drafts.get(item.id);
    this.#drafts.delete(item.id);
    this.#saved = saved ?? this.#saved;
    this.#labels = [...(draft?.labels ?? this.#saved)];
    this.#showLabels();
    this.#selectOpen();
    this.#stage.show(pictures);
    this.#showStatus("");
    const [{width, height}] = pictures;
    this.#coverage = draft?.coverage ?? new Coverage(pictures.length - this.#stage.first, width, height);
    this.#clock.start(this.#coverage, draft?.reading);
    this.#restartIdleTimer();
    if (document.querySelector("dialog[open]")) {
      this.#clock.pause();
    }
    for (const next of this.#items.slice(index + 1).filter(({state}) => state === "open").slice(0, GROUPS_AHEAD)) {
      this.#loadPictures(next.id).catch(() => {}); // tried again when it is opened
    }
  }

  /** Hide the group and keep an unfinished answer until it is opened again. */
  #closeGroup() {
    if (this.#stage.isShown && this.#isChanged) {
      const [labels, reading, coverage] = [this.#labels, this.#clock.read(), this.#coverage];
      this.#drafts.set(this.#item.id, {labels, reading, coverage});
    }
    this.#stage.show(null);
  }

  /** The earlier answer; null if there is none. */
  async #loadLabels(item) {
    const pending = this.#outbox.pending(item.id);
    if (pending || item.state !== "saved") {
      return pending?.labels ? [...pending.labels] : null;
    }
    const saved = await this.#retry(() => requestJson(`api/items/${item.id}/answer`));
    if (saved) {
      this.#outbox.setVersion(item.id, saved.version);
    }
    return saved?.labels ?? null;
  }

  /** The pictures of an item; failed requests are repeated at the next call. */
  #loadPictures(id) {
    if (!this.#pictures.has(id)) {
      const positions = [...Array(this.#mode.numPictures).keys()];
      const loading = Promise.all(positions.map((k) => requestPicture(`api/items/${id}/pictures/${k}`)));
      loading.catch(() => this.#pictures.delete(id));
      this.#pictures.set(id, loading);
      for (const old of [...this.#pictures.keys()].slice(0, -GROUPS_KEPT)) {
        this.#pictures.delete(old);
      }
    }
    return this.#pictures.get(id);
  }

  /** Repeat an action until it succeeds or fails permanently; null once the annotator has moved on. */
  async #retry(action) {
    const turn = this.#turn;
    for (let pause = 1; turn === this.#turn; pause = Math.min(10, 2 * pause)) {
      try {
        return await action();
      } catch (failure) {
        if (turn !== this.#turn) {
          break;
        }
        if (failure.isTemporary === false) {
          this.#showNotice(failure.message);
          throw failure;
        }
        this.#showStatus(text("loading_failed"));
        await wait(pause);
      }
    }
    return null;
  }

  // Judging

  #answer(position, label) {
    if (this.#mode.isChoice) {
      this.#choose(label === "Similar" ? null : position - this.#stage.first);
    } else {
      this.#label(position, label);
    }
  }

  #label(position, label) {
    if (!this.#stage.isShown) {
      return; // pictures that are not shown cannot be judged
    }
    if (this.#stage.selected !== position) {
      this.#stage.select(position);
    }
    this.#remember(position);
    this.#labels[position - 1] = label;
    this.#showLabels();
    this.#showStatus(text("labelled", {number: position, label: text(label.toLowerCase())}));
    const left = this.#unlabelled();
    if (left.length) {
      this.#stage.select(left.find((other) => other > position) ?? left[0]);
    } else {
      this.#showStatus(text("ready"));
    }
  }

  /** Prefer a version, counted from 0, or none. */
  #choose(version) {
    if (!this.#stage.isShown) {
      return;
    }
    this.#remember(this.#stage.selected);
    if (version !== null) {
      this.#stage.select(version + this.#stage.first);
    }
    this.#labels = this.#mode.labelsOf(version);
    this.#showLabels();
    this.#showStatus(text("ready", {choice: this.#nameOf(version)}));
  }

  /** Keep the labels for undo, and the version to select then. */
  #remember(position) {
    this.#history.push({labels: [...this.#labels], position});
  }

  #showLabels() {
    this.#stage.showLabels(this.#mode.spread(this.#labels));
  }

  /** The choice of a version, counted from 0, or of none, in words. */
  #nameOf(version) {
    return version === null ? text("same") : text("version", {number: version + 1});
  }

  /** Select the first version without a label. */
  #selectOpen() {
    this.#stage.select(this.#mode.isChoice ? this.#stage.selected : (this.#unlabelled()[0] ?? 1));
  }

  /** Positions without a label. */
  #unlabelled() {
    return this.#labels.flatMap((label, k) => (label ? [] : [k + 1]));
  }

  /** Versions, counted from 0, of which a part has yet to be seen at 100 %, if the round requires it. */
  #unseen() {
    const {required_full_zoom_s: required} = this.#round;
    return this.#clock.read().full_zoom_s.flatMap((seconds, k) => (seconds < required ? [k] : []));
  }

  /** The parts of these versions that have yet to be seen at 100 %. */
  #unseenParts(versions) {
    return this.#coverage.missing(this.#round.required_full_zoom_s, versions);
  }

  async #next() {
    const left = this.#unlabelled();
    if (!this.#stage.isShown) {
      return;
    }
    if (left.length) {
      const {isChoice, hasTies} = this.#mode;
      this.#showStatus(text(isChoice && !hasTies ? "judge_one" : "judge_all", {numbers: left.join(", ")}));
      this.#selectOpen();
      return;
    }
    const unseen = this.#unseen();
    if (this.#isChanged && unseen.length) {
      const [version] = unseen;
      const [{left, top}] = this.#unseenParts([version]);
      this.#stage.select(version + this.#stage.first);
      this.#stage.lookFrom(left, top);
      this.#showStatus(text("see_all", {numbers: unseen.map((k) => k + 1).join(", ")}));
      return;
    }
    const turn = this.#turn;
    if (this.#isChanged) {
      await this.#save();
    }
    if (turn === this.#turn) { // otherwise the annotator has moved on without waiting for the feedback
      await this.#openNext();
    }
  }

  async #save() {
    this.#showNotice("");
    this.#showStatus("");
    const item = this.#item;
    const {width, height} = screen;
    const reading = this.#clock.read();
    const labels = [...this.#labels];
    const delivered = this.#outbox.put(item.id, `api/items/${item.id}/answer`, {
      labels,
      ...reading,
      display: {
        device_pixel_ratio: devicePixelRatio,
        zoom: this.#stage.scale,
        width: innerWidth,
        height: innerHeight,
        screen_width: width,
        screen_height: height,
        flips: this.#stage.numFlips,
      },
    });
    this.#markItem("saved");
    this.#times.push(reading.seconds);
    const response = this.#isPractice ? await delivered : null;
    if (response?.feedback) {
      await this.#showFeedback(response.feedback, labels);
    }
  }

  async #skip() {
    if (!this.#item) {
      return;
    }
    if (this.#item.state === "saved") {
      this.#showStatus(text("skip_answered"));
      return;
    }
    $("skip-form").reset();
    if (!this.#stage.isShown) {
      $("skip-form").elements.reason.value = "skip_broken";
    }
    if ((await this.#openDialog("skip")) !== "skip") {
      return;
    }
    this.#showNotice("");
    const reason = new FormData($("skip-form")).get("reason");
    const words = [reason === "skip_other" ? "" : text(reason), $("skip-text").value.trim()].filter(Boolean);
    const item = this.#item;
    const delivered = this.#outbox.put(item.id, `api/items/${item.id}/skip`, {reason: words.join(": ") || text(reason)});
    void delivered.then((response) => this.#markSkipped(response?.skipped ?? []));
    this.#markItem("skipped");
    await this.#openNext();
  }

  #markItem(state) {
    const batch = this.#round.batches[this.#batch];
    batch.open -= this.#item.state === "open";
    this.#item.state = state;
    this.#saved = [...this.#labels];
    this.#answered.push(this.#index);
    this.#showProgress();
  }

  /** Mark the other pairs of a skipped group. */
  #markSkipped(ids) {
    for (const item of this.#items.filter(({id, state}) => state === "open" && ids.includes(id))) {
      item.state = "skipped";
      this.#round.batches[this.#batch].open--;
    }
    this.#showProgress();
  }

  async #openNext() {
    const open = this.#items.map(({state}, k) => (state === "open" ? k : -1)).filter((k) => k >= 0);
    const next = open.find((k) => k > this.#index) ?? open[0];
    if (next === undefined) {
      this.#showDone();
    } else {
      await this.#openGroup(next);
    }
  }

  async #previous() {
    if (this.#index > 0) {
      await this.#openGroup(this.#index - 1);
    }
  }

  async #undo() {
    const last = this.#history.pop();
    if (last) {
      this.#labels = last.labels;
      this.#showLabels();
      this.#stage.select(last.position);
    } else if (this.#answered.length) {
      await this.#openGroup(this.#answered.pop());
    }
  }

  // Dialogs and pauses

  /** Open a dialog, pausing the clock, and return the value that closed it. */
  async #openDialog(name) {
    const dialog = $(`${name}-dialog`);
    if (document.querySelector("dialog[open]")) {
      return "";
    }
    this.#clock.pause();
    this.#stage.flip(false);
    dialog.returnValue = "";
    dialog.showModal();
    await new Promise((resolve) => dialog.addEventListener("close", resolve, {once: true}));
    this.#clock.resume();
    this.#restartIdleTimer();
    return dialog.returnValue;
  }

  /** Restart the countdown to an automatic pause. */
  #restartIdleTimer() {
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => this.#openDialog("pause"), 1000 * IDLE_SECONDS);
  }

  async #showFeedback({labels, note, original}, given) {
    const versions = {Positive: 0, Similar: null, Negative: 1}; // of a pair
    const name = (label) => (this.#round.is_blind ? this.#nameOf(versions[label]) : text(label.toLowerCase()));
    const wrong = labels.flatMap((expected, k) =>
      expected && expected !== given[k]
        ? [text("feedback_wrong", {number: k + 1, given: name(given[k]), expected: name(expected)})]
        : [],
    );
    const secret = original ? [text("feedback_original", {number: original})] : [];
    fill("feedback-list", "li", [...(wrong.length ? wrong : [text("feedback_right")]), ...secret]);
    $("feedback-note").textContent = note;
    await this.#openDialog("feedback");
  }

  async #showDone() {
    this.#closeGroup();
    this.#labels = Array(this.#mode.numLabels).fill(null);
    this.#showLabels();
    this.#showStatus("");
    this.#showProgress();
    const other = this.#round.batches.findIndex((batch) => batch.open > 0);
    const skipped = this.#items.filter(({state}) => state === "skipped").length;
    $("done-title").textContent = text(other < 0 ? "all_done" : "batch_done");
    $("done-text").textContent = skipped ? text("skipped_left", {count: skipped}) : "";
    $("done-next").hidden = other < 0;
    const choice = await this.#openDialog("done");
    if (choice === "next" && other >= 0) {
      await this.#openBatch(other);
    } else if (this.#items.length) {
      await this.#openGroup(0);
    }
  }

  // Messages

  #showStatus(message) {
    $("status").textContent = message;
  }

  /** What the page asks now, if it differs between items. */
  #showQuestion(question) {
    $("title").textContent = question ?? text("title");
    $("status").dataset.question = $("title").textContent; // shown where there is no room for it above
  }

  #showNotice(message) {
    $("notice").textContent = message;
    $("notice").hidden = !message;
  }

  #showSaving(state, detail) {
    if (state === "conflict") {
      const item = this.#items.find(({id}) => id === detail.id);
      if (item) {
        item.state = "saved"; // also if this window skipped what the other one answered
      }
      this.#showNotice(text(detail.isSkip ? "skip_conflict" : "conflict"));
    } else if (state === "refused") {
      this.#showNotice(text("refused", {error: detail.error}));
    } else if (state === "waiting") {
      const reason = detail.error || text("no_connection");
      $("saving").textContent = text("not_saved", {count: detail.count, reason});
    } else if (state === "sending") {
      $("saving").textContent = text("saving");
    } else {
      $("saving").textContent = detail.refused ? text("some_refused", {count: detail.refused}) : text("all_saved");
    }
  }

  #showZoom() {
    const scale = this.#stage?.scale ?? 1; // called while the stage is created
    const percent = Math.round(100 * scale);
    $("zoom").textContent = text("zoom_value", {percent});
    const legend = this.#round.required_full_zoom_s ? ` ${text("map_unseen")}` : "";
    $("guide-zoom").textContent = text(scale < 1 ? "zoom_mixed" : "zoom_exact", {percent}) + legend;
    document.body.classList.toggle("mixed", scale < 1);
  }

  #showProgress() {
    const total = this.#items.length;
    const open = this.#items.filter(({state}) => state === "open").length;
    $("progress").textContent = text("progress", {done: total - open, total});
    $("bar").style.width = `${total ? (100 * (total - open)) / total : 0}%`;
    $("track").setAttribute("aria-valuemax", total);
    $("track").setAttribute("aria-valuenow", total - open);
    const recent = this.#times.slice(-20).sort((one, other) => one - other);
    const minutes = recent.length ? (open * recent[recent.length >> 1]) / 60 : 0;
    $("time-left").textContent =
      minutes >= 90
        ? text("time_left_hours", {hours: Math.round(minutes / 60)})
        : open && recent.length
          ? text("time_left", {minutes: Math.max(1, Math.round(minutes))})
          : "";
  }

  // Keys and buttons

  #listen() {
    const rows = this.#keys();
    listenToKeys(rows);
    showKeys(rows, $("keys"), text);
    showKeys(this.#guide(), $("guide-keys"), text);
    $("zoom").title = text("help_whole");
    this.#showQuestion();
    $("flip").hidden = $("slider").hidden = !this.#mode.hasOther;
    addEventListener("click", (event) => event.detail && event.target.closest?.("button")?.blur()); // keys stay with the page
    addEventListener("keyup", (event) => (event.key === " " || event.code === "Space") && this.#stage.flip(false));
    addEventListener("blur", () => this.#stage.flip(false));
    $("flip").title = text("help_flip");
    $("flip").addEventListener("contextmenu", (event) => event.preventDefault()); // opened by a long touch
    for (const event of ["pointerdown", "pointerup", "pointercancel", "pointerleave"]) {
      $("flip").addEventListener(event, () => this.#stage.flip(event === "pointerdown"));
    }
    for (const kind of ["keydown", "pointermove", "pointerdown"]) {
      addEventListener(kind, () => this.#restartIdleTimer(), {passive: true});
    }
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) {
        this.#clock.pause();
      } else if (!document.querySelector("dialog[open]")) {
        this.#clock.resume();
      }
    });
    // #retry has shown the error.
    addEventListener("unhandledrejection", (event) => event.reason instanceof RequestError && event.preventDefault());
    addEventListener("beforeunload", (event) => this.#outbox.size && event.preventDefault());
    $("batch").addEventListener("change", () => {
      $("batch").blur(); // keys return to the page
      void this.#openBatch(Number($("batch").value));
    });
  }

  /** Key bindings in the order of the help; see keys.js. */
  #keys() {
    const stage = this.#stage;
    const {isPairOfStudy, hasOther} = this.#mode;
    const [zoomIn, zoomOut] = [() => stage.zoomBy(1), () => stage.zoomBy(-1)];
    const open = (dialog) => () => void this.#openDialog(dialog);
    const [space, shift, enter, backspace] = ["space", "shift", "enter", "backspace"].map((name) => text(`key_${name}`));
    const pan = isPairOfStudy ? "shift+" : ""; // the arrows alone choose
    return [
      ...this.#answerKeys(),
      ...(hasOther
        ? [
          {caps: [space], help: "help_flip", keys: {" ": () => stage.flip(true)}},
          {caps: ["Z"], help: "help_slider", keys: {z: () => this.#toggle("slider")}, buttons: {slider: "z"}},
          {caps: [",", "."], help: "help_slide", keys: {",": () => stage.slide(-0.05), ".": () => stage.slide(0.05)}},
        ]
        : []),
      {caps: [enter], help: "help_next", keys: {enter: () => this.#next()}, buttons: {next: "enter"}},
      {caps: [backspace], help: "help_previous", keys: {backspace: () => this.#previous()}, buttons: {previous: "backspace"}},
      {caps: ["U"], help: "help_undo", keys: {u: () => this.#undo()}, buttons: {undo: "u"}},
      {caps: ["X"], help: "help_skip", keys: {x: () => this.#skip()}, buttons: {skip: "x"}},
      {
        caps: ["←", "↑", "→", "↓"].map((cap) => (isPairOfStudy ? `${shift} ${cap}` : cap)),
        help: "help_pan",
        keys: {
          [`${pan}arrowleft`]: () => stage.panBy(-0.2, 0),
          [`${pan}arrowright`]: () => stage.panBy(0.2, 0),
          [`${pan}arrowup`]: () => stage.panBy(0, -0.2),
          [`${pan}arrowdown`]: () => stage.panBy(0, 0.2),
        },
      },
      {
        caps: ["+", "−"],
        help: "help_zoom",
        keys: {"+": zoomIn, "=": zoomIn, "-": zoomOut},
        buttons: {"zoom-in": "+", "zoom-out": "-"},
      },
      {caps: ["0"], help: "help_whole", keys: {0: () => stage.toggleWhole()}, buttons: {zoom: "0"}},
      {caps: ["F"], help: "help_focus", keys: {f: () => this.#toggle("focus")}, buttons: {focus: "f"}},
      {caps: ["B"], help: "help_pause", keys: {b: open("pause")}, buttons: {pause: "b"}},
      ...(this.#round.instructions.length
        ? [{caps: ["I"], help: "help_instructions", keys: {i: open("instructions")}, buttons: {instructions: "i"}}]
        : []),
      {caps: ["H"], help: "help_help", keys: {h: open("help"), "?": open("help")}, buttons: {help: "h"}},
    ];
  }

  /** The keys that label or choose, and those that select a version. */
  #answerKeys() {
    const stage = this.#stage;
    const {isChoice, isPairOfStudy, hasTies, numVersions: count} = this.#mode;
    const numbers = (action) => Object.fromEntries(Array.from({length: count}, (_, k) => [k + 1, () => action(k)]));
    const label = (word) => () => this.#label(stage.selected, word);
    const step = (by) => stage.select(((stage.selected - stage.first + by + count) % count) + stage.first);
    const shift = text("key_shift");
    const chooseKeys = numbers((version) => this.#choose(version));
    const arrows = {arrowleft: chooseKeys[1], arrowright: chooseKeys[2]};
    const caps = count === 2 ? ["1", "2"] : [`1–${count}`];
    return [
      ...(isPairOfStudy
        ? [{caps: ["←", "→", ...caps], help: "help_choose", keys: {...chooseKeys, ...arrows}}]
        : isChoice
          ? [{caps, help: "help_choose", keys: chooseKeys}]
          : [
              {caps, help: "help_select", keys: numbers((version) => stage.select(version + 1))},
              {caps: ["P", "S", "N"], help: "help_label", keys: {p: label("Positive"), s: label("Similar"), n: label("Negative")}},
            ]),
      ...(isChoice && hasTies ? [{caps: ["S"], help: "help_same", keys: {s: () => this.#choose(null)}}] : []),
      isPairOfStudy
        ? {caps: ["N"], help: "help_other", keys: {n: () => step(1)}}
        : {
            caps: [`${shift} ←`, `${shift} →`],
            help: "help_step",
            keys: {"shift+arrowleft": () => step(-1), "shift+arrowright": () => step(1)},
          },
    ];
  }

  /** What to remember while judging, beside the map. */
  #guide() {
    const {isChoice, isPairOfStudy, hasTies, hasOther, numVersions} = this.#mode;
    const choice = [
      ...(isPairOfStudy ? [{caps: ["←", "→"], help: "chosen"}] : []),
      ...(isChoice && !isPairOfStudy ? [{caps: numVersions === 2 ? ["1", "2"] : [`1–${numVersions}`], help: "chosen"}] : []),
      ...(isChoice && hasTies ? [{caps: ["S"], help: "same"}] : []),
    ];
    const labels = {P: "positive_hint", S: "similar_hint", N: "negative_hint"};
    return [
      ...(isChoice ? choice : Object.entries(labels).map(([cap, help]) => ({caps: [cap], help}))),
      ...(hasOther ? [{caps: [text("key_space")], help: "guide_flip"}] : []),
      {caps: [text("key_enter")], help: "help_next"},
    ];
  }

  #toggle(name) {
    const isOn = $(name).getAttribute("aria-pressed") !== "true";
    $(name).setAttribute("aria-pressed", isOn);
    this.#stage[name](isOn);
    this.#showZoom();
  }
}

function fill(id, tag, texts) {
  $(id).replaceChildren(
    ...texts.map((content) => {
      const element = document.createElement(tag);
      element.textContent = content;
      return element;
    }),
  );
}

addEventListener("hashchange", () => location.reload()); // a corrected or different personal URL
try {
  await new Page().start();
} catch (error) {
  $("notice").textContent = error.message;
  $("notice").hidden = false;
  $("stage").dataset.state = "failed";
}
