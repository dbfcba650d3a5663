// Shows the pictures of a group side by side or one at a time, all at the same position and scale, and where the grid
// has a free cell, a map of the part in view. An image pixel is a square of whole device pixels at any display scaling:
// one at 100 %. A picture is scaled down only while the annotator asks for the whole of one that is larger than its pane.

const ZOOMS = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32];
const SYMBOLS = {positive: "+", similar: "=", negative: "−", chosen: "✓", same: "="};
const NARROW_PX = 330;
const NARROWEST_PX = 150; // for three buttons
const MAP_WORTH = 1.25;
const WHEEL_STEP_PX = 30;

export class Stage {
  #root;
  #text;
  #panes = [];
  #aside;
  #map;
  #pictures = null;
  #zoom = null; // device pixels per image pixel; 0 shows the whole picture, null also, but at 100 % or more
  #centre = [0, 0];
  #pointer = null; // [x, y] in image pixels
  #split = 0.5;
  #marks = []; // boxes, in image pixels
  #turned = 0; // pixels of the wheel towards the next step of zoom
  #observer = new ResizeObserver((entries) => this.#resize(entries));
  #onZoom;
  #onView;
  #first; // position of the first version: 0 if no picture is named as the original or reference
  #mode;
  selected;
  isFlipped = false;
  isFocused = false;
  hasSlider = false;
  numFlips = 0;

  /**
   * @param root the element to fill; it has an aside with a canvas, which shows the map
   * @param text (key, values) => string
   * @param mode what the pages show and how they are answered; see mode.js
   * @param handlers {label(position, label), zoom(), view(versions, box)}; the last is called with the versions, counted
   *   from 0, that are in view at 100 % or more, and the part of them, in image pixels
   */
  constructor(root, text, mode, handlers) {
    this.#root = root;
    this.#text = text;
    this.#mode = mode;
    this.#first = mode.first;
    root.classList.toggle("choice", mode.isChoice);
    this.#onZoom = handlers.zoom;
    this.#onView = handlers.view;
    this.#aside = root.querySelector("aside");
    this.#map = this.#aside.querySelector("canvas");
    for (let position = 0; position < mode.numPictures; position++) {
      this.#panes.push(this.#makePane(position, handlers.label));
    }
    this.#listenToMap();
    this.#observe(this.#map);
    new ResizeObserver(() => this.#arrange()).observe(root);
    this.select(this.#first);
  }

  /** The position of the first version. */
  get first() {
    return this.#first;
  }

  get isShown() {
    return this.#pictures !== null;
  }

  /** Device pixels per image pixel, the same in all panes. */
  get scale() {
    if (!this.#pictures) {
      return 1;
    }
    return this.#zoom || (this.#zoom === 0 ? this.#fit() : Math.max(1, this.#fit()));
  }

  /** Show pictures, the original first, at 100 % or more; null hides all. */
  show(pictures) {
    this.#pictures = pictures;
    this.isFlipped = false;
    this.numFlips = 0;
    if (pictures) {
      this.#zoom ||= null;
      this.#centre = [pictures[0].width / 2, pictures[0].height / 2];
    }
    this.#root.dataset.state = pictures ? "shown" : "empty";
    this.#draw();
    this.#onZoom();
  }

  select(position) {
    this.selected = position;
    for (const pane of this.#panes) {
      pane.figure.classList.toggle("selected", pane.position === position);
    }
    this.#arrange();
  }

  showLabels(labels) {
    for (const pane of this.#panes.slice(this.#first)) {
      const label = labels[pane.position - this.#first];
      for (const button of pane.buttons) {
        button.setAttribute("aria-pressed", button.dataset.label === label);
      }
      const pressed = pane.buttons.find((button) => button.dataset.label === label);
      const labelText = pressed?.querySelector(".word").textContent.trim() ?? this.#text(label ? "not_chosen" : "not_labelled");
      pane.canvas.setAttribute("aria-label", `${this.#nameOf(pane.position)}: ${labelText}`);
    }
  }

  flip(isFlipped) {
    if (this.isFlipped !== isFlipped) {
      this.isFlipped = isFlipped;
      this.numFlips += isFlipped;
      this.#draw();
    }
  }

  focus(isFocused) {
    this.isFocused = isFocused;
    this.#arrange();
  }

  slider(hasSlider) {
    this.hasSlider = hasSlider;
    this.#draw();
  }

  slide(by) {
    this.#split = Math.min(1, Math.max(0, this.#split + by));
    this.#draw();
  }

  /** Show the whole picture, or 100 % if the whole is shown already and smaller than that. */
  toggleWhole() {
    if (this.#pictures) {
      this.#setZoom(this.scale < 1 ? null : 0);
    }
  }

  /** Show the versions at 100 % or more, from a point to the right and down, and not covered by the slider. */
  lookFrom(left, top) {
    this.#split = 0;
    if (this.scale < 1) {
      this.#setZoom(null);
    }
    const {width, height} = this.#canvas;
    this.#moveTo(left + width / this.scale / 2, top + height / this.scale / 2);
  }

  /** Mark boxes {left, top, width, height} on the map. */
  mark(boxes) {
    const isChanged = boxes.length !== this.#marks.length;
    this.#marks = boxes;
    if (isChanged) {
      this.#drawMap();
    }
  }

  /** One step in (1) or out (-1), around a point of the picture; default the centre of the view. */
  zoomBy(step, about = this.#centre) {
    if (!this.#pictures) {
      return;
    }
    const now = this.scale;
    const next = step > 0 ? ZOOMS.find((zoom) => zoom > now) : ZOOMS.findLast((zoom) => zoom < now);
    this.#setZoom(next ?? (step > 0 ? this.#zoom : 0), about);
  }

  /** Move the view by fractions of its size. */
  panBy(right, down) {
    const {width, height} = this.#canvas;
    this.#moveTo(this.#centre[0] + (right * width) / this.scale, this.#centre[1] + (down * height) / this.scale);
  }

  #setZoom(zoom, about = this.#centre) {
    const before = this.scale;
    this.#zoom = zoom;
    const ratio = before / this.scale;
    // The point under the pointer stays in place.
    this.#moveTo(...this.#centre.map((centre, axis) => about[axis] + (centre - about[axis]) * ratio));
    this.#onZoom();
  }

  #moveTo(x, y) {
    if (!this.#pictures) {
      return;
    }
    const [{width, height}] = this.#pictures;
    const seen = [this.#canvas.width / this.scale, this.#canvas.height / this.scale];
    this.#centre = [clampCentre(x, width, seen[0]), clampCentre(y, height, seen[1])];
    this.#draw();
  }

  /** A canvas in view; all have the same size. */
  get #canvas() {
    return this.#panes[this.isFocused ? this.selected : 0].canvas;
  }

  #nameOf(position) {
    return position < this.#first ? this.#text(this.#mode.firstName) : this.#text("version", {number: this.#numberOf(position)});
  }

  #numberOf(position) {
    return position + 1 - this.#first;
  }

  /** The picture that a version is compared with: the first one, or in a pair the other; else the version itself. */
  #otherOf(position) {
    return this.#first ? 0 : this.#mode.hasOther ? 1 - position : position;
  }

  #makePane(position, onLabel) {
    const figure = document.createElement("figure");
    figure.className = "pane";
    figure.dataset.position = position;
    figure.setAttribute("role", "group");
    figure.setAttribute("aria-label", this.#nameOf(position));
    const caption = document.createElement("figcaption");
    const name = document.createElement("span");
    name.className = "name";
    const long = this.#nameOf(position);
    const short = position < this.#first ? this.#text(this.#mode.firstShortName) : String(this.#numberOf(position));
    for (const [className, content] of Object.entries({long, short})) {
      const words = document.createElement("span");
      words.className = className;
      words.textContent = content;
      name.append(words);
    }
    caption.append(name);
    const buttons = position < this.#first ? [] : this.#makeButtons(position, onLabel);
    if (buttons.length) {
      const labels = document.createElement("span");
      labels.className = "labels";
      labels.append(...buttons);
      caption.append(labels);
    }
    const room = document.createElement("div");
    room.className = "room";
    const canvas = document.createElement("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", this.#nameOf(position));
    room.append(canvas);
    figure.append(caption, room);
    this.#root.append(figure);
    const pane = {position, figure, canvas, buttons, context: canvas.getContext("2d")};
    this.#listen(pane);
    this.#observe(canvas);
    return pane;
  }

  #observe(canvas) {
    try {
      this.#observer.observe(canvas, {box: "device-pixel-content-box"});
    } catch {
      this.#observer.observe(canvas); // Safari does not report device pixels; #resize computes them
    }
  }

  #makeButtons(position, onLabel) {
    const choice = {Positive: "chosen", ...(this.#mode.hasTies ? {Similar: "same"} : {})};
    const keys = this.#mode.isChoice ? choice : {Positive: "positive", Similar: "similar", Negative: "negative"};
    return Object.entries(keys).map(([label, key]) => {
      const symbol = SYMBOLS[key];
      const button = document.createElement("button");
      button.className = key;
      button.dataset.label = label;
      button.setAttribute("aria-pressed", "false");
      button.title = `${this.#text(key)}: ${this.#text(`${key}_hint`, {number: this.#numberOf(position)})}`;
      button.setAttribute("aria-label", button.title);
      const word = document.createElement("span");
      word.className = "word";
      word.textContent = ` ${this.#text(key)}`;
      button.append(symbol, word);
      if (this.#mode.isChoice) {
        const cap = document.createElement("kbd");
        cap.textContent = label === "Similar" ? "S" : this.#numberOf(position);
        button.append(" ", cap);
      }
      button.addEventListener("click", () => onLabel(position, label));
      return button;
    });
  }

  #listen(pane) {
    const {canvas} = pane;
    let drag = null;
    canvas.addEventListener("pointerdown", (event) => {
      if (!event.isPrimary) {
        return; // a second finger
      }
      if (pane.position >= this.#first) {
        this.select(pane.position);
      }
      canvas.setPointerCapture(event.pointerId);
      drag = {x: event.clientX, y: event.clientY, centre: this.#centre};
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!event.isPrimary) {
        return;
      }
      const ratio = canvas.width / canvas.clientWidth / this.scale;
      if (drag) {
        this.#moveTo(
          drag.centre[0] - (event.clientX - drag.x) * ratio,
          drag.centre[1] - (event.clientY - drag.y) * ratio,
        );
      }
      if (this.hasSlider) {
        this.#split = event.offsetX / canvas.clientWidth;
      }
      this.#pointer = this.#pictures ? this.#pointOf(pane, event) : null;
      this.#draw();
    });
    canvas.addEventListener("pointerup", () => (drag = null));
    canvas.addEventListener("pointercancel", () => (drag = null));
    canvas.addEventListener("pointerleave", () => {
      this.#pointer = null;
      this.#draw();
    });
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      if (!this.#pictures) {
        return;
      }
      if (event.ctrlKey) { // also two fingers that pinch a touchpad
        this.#turnZoom(event, this.#pointOf(pane, event));
        return;
      }
      const unit = (event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? devicePixelRatio : 40) / this.scale;
      const turned = event.shiftKey && !event.deltaX; // Firefox and Safari leave this to the page
      const [right, down] = turned ? [event.deltaY, 0] : [event.deltaX, event.deltaY];
      this.#moveTo(this.#centre[0] + right * unit, this.#centre[1] + down * unit);
    }, {passive: false});
  }

  /** One step of zoom for a notch of the wheel, or for as much of a pinch, which arrives in many small parts. */
  #turnZoom(event, about) {
    const pixels = event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? event.deltaY : 100 * Math.sign(event.deltaY);
    const turned = Math.sign(pixels) === Math.sign(this.#turned) ? this.#turned + pixels : pixels;
    this.#turned = Math.abs(turned) < WHEEL_STEP_PX ? turned : 0;
    if (Math.abs(turned) >= WHEEL_STEP_PX) {
      this.zoomBy(-Math.sign(turned), about);
    }
  }

  #listenToMap() {
    const move = (event) => {
      if (this.#pictures && event.buttons) {
        const {left, top, scale} = this.#placeOnMap();
        const ratio = this.#map.width / this.#map.clientWidth;
        this.#moveTo((event.offsetX * ratio - left) / scale, (event.offsetY * ratio - top) / scale);
      }
    };
    this.#map.addEventListener("pointerdown", (event) => {
      this.#map.setPointerCapture(event.pointerId);
      move(event);
    });
    this.#map.addEventListener("pointermove", move);
  }

  /** The pointer's position in image pixels. */
  #pointOf({canvas}, event) {
    const ratio = canvas.width / canvas.clientWidth;
    const {left, top} = this.#placeIn(canvas);
    return [(event.offsetX * ratio - left) / this.scale, (event.offsetY * ratio - top) / this.scale];
  }

  #resize(entries) {
    for (const {target, devicePixelContentBoxSize, contentRect} of entries) {
      const [size] = devicePixelContentBoxSize ?? [];
      target.width = size?.inlineSize ?? Math.round(contentRect.width * devicePixelRatio);
      target.height = size?.blockSize ?? Math.round(contentRect.height * devicePixelRatio);
    }
    this.#draw();
    this.#onZoom();
  }

  /** Choose the number of columns that makes the panes largest, but wide enough for their buttons; the map is worth some. */
  #arrange() {
    const count = this.isFocused ? 1 : this.#panes.length;
    const {clientWidth, clientHeight} = this.#root;
    let best = {side: 0, columns: 1};
    for (let columns = 1; columns <= Math.min(count, Math.max(1, clientWidth / NARROWEST_PX)); columns++) {
      const rows = Math.ceil(count / columns);
      const side = Math.min(clientWidth / columns, clientHeight / rows - 40) * (count % columns ? MAP_WORTH : 1);
      best = side > best.side ? {side, columns} : best;
    }
    this.#root.style.gridTemplateColumns = `repeat(${best.columns}, minmax(0, 1fr))`;
    this.#root.style.gridAutoRows = "minmax(0, 1fr)";
    this.#root.classList.toggle("narrow", clientWidth / best.columns < NARROW_PX);
    for (const pane of this.#panes) {
      pane.figure.hidden = this.isFocused && pane.position !== this.selected;
    }
    this.#aside.hidden = count % best.columns === 0;
    this.#draw();
  }

  /** The largest scale at which the whole picture fits every visible pane. */
  #fit() {
    const [{width, height}] = this.#pictures;
    const visible = this.#panes.filter(({figure}) => !figure.hidden);
    const fit = Math.min(...visible.map(({canvas}) => Math.min(canvas.width / width, canvas.height / height)));
    return fit >= 1 ? Math.floor(fit) : Math.max(fit, 0.01);
  }

  /** Where the map shows the whole picture. */
  #placeOnMap() {
    const [{width, height}] = this.#pictures;
    const scale = Math.min(this.#map.width / width, this.#map.height / height);
    return {scale, left: (this.#map.width - width * scale) / 2, top: (this.#map.height - height * scale) / 2};
  }

  #placeIn(canvas) {
    const [{width, height}] = this.#pictures;
    const {scale} = this;
    return {
      left: place(canvas.width, width * scale, this.#centre[0] * scale),
      top: place(canvas.height, height * scale, this.#centre[1] * scale),
    };
  }

  #draw() {
    for (const pane of this.#panes) {
      this.#drawPane(pane);
    }
    this.#drawMap();
    const isFull = this.#pictures && !this.isFlipped && this.scale >= 1;
    const visible = this.#panes.filter(({figure, position}) => position >= this.#first && !figure.hidden);
    this.#onView(isFull ? visible.map(({position}) => position - this.#first) : [], isFull && this.#boxInView());
  }

  /** The part of the versions in view, in image pixels. */
  #boxInView() {
    const {width, height} = this.#canvas;
    const {left, top} = this.#placeIn(this.#canvas);
    const start = this.hasSlider ? Math.round(this.#split * width) : 0; // the original covers the rest
    const {scale} = this;
    return {
      left: (start - left) / scale,
      top: -top / scale,
      right: (width - left) / scale,
      bottom: (height - top) / scale,
    };
  }

  /** The original, darker outside the part in view, and pale where it is marked. */
  #drawMap() {
    const context = this.#map.getContext("2d");
    context.clearRect(0, 0, this.#map.width, this.#map.height);
    if (!this.#pictures || this.#aside.hidden) {
      return;
    }
    const [original] = this.#pictures;
    const {left, top, scale} = this.#placeOnMap();
    const whole = [left, top, original.width * scale, original.height * scale];
    context.imageSmoothingQuality = "high";
    context.drawImage(original, ...whole);
    context.beginPath();
    for (const box of this.#marks) {
      context.rect(left + box.left * scale, top + box.top * scale, box.width * scale, box.height * scale);
    }
    context.fillStyle = "rgb(255 255 255 / 60%)";
    context.fill();
    const view = this.#placeIn(this.#canvas);
    const ratio = scale / this.scale;
    const edges = [
      [left - Math.min(0, view.left) * ratio, this.#canvas.width * ratio, whole[0], whole[2]],
      [top - Math.min(0, view.top) * ratio, this.#canvas.height * ratio, whole[1], whole[3]],
    ].map(([start, size, first, length]) => [start, Math.min(size, length, first + length - start)]);
    const [[x, width], [y, height]] = edges;
    context.beginPath();
    context.rect(...whole);
    context.rect(x, y, width, height);
    context.fillStyle = "rgb(0 0 0 / 60%)";
    context.fill("evenodd");
    context.strokeStyle = "#fff";
    context.lineWidth = Math.max(1, Math.round(devicePixelRatio));
    context.strokeRect(x, y, width, height);
  }

  #drawPane({position, canvas, context, figure}) {
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (!this.#pictures || figure.hidden) {
      return;
    }
    const other = this.#otherOf(position);
    const shown = this.isFlipped ? other : position;
    const {left, top} = this.#placeIn(canvas);
    const {scale} = this;
    const size = [this.#pictures[0].width * scale, this.#pictures[0].height * scale];
    context.imageSmoothingEnabled = scale < 1;
    context.imageSmoothingQuality = "high";
    context.drawImage(this.#pictures[shown], left, top, ...size);
    if (this.hasSlider && position >= this.#first && !this.isFlipped) {
      const edge = Math.round(this.#split * canvas.width);
      context.save();
      context.beginPath();
      context.rect(0, 0, edge, canvas.height);
      context.clip();
      context.drawImage(this.#pictures[other], left, top, ...size);
      context.restore();
      context.fillStyle = "#fff";
      context.fillRect(edge - 1, 0, 2, canvas.height);
    }
    if (this.#pointer) {
      this.#drawPointer(context, left + this.#pointer[0] * scale, top + this.#pointer[1] * scale);
    }
    canvas.dataset.shows = shown;
    canvas.dataset.scale = scale;
  }

  #drawPointer(context, x, y) {
    const arm = 6 * devicePixelRatio;
    context.strokeStyle = "#fff";
    context.globalCompositeOperation = "difference";
    context.beginPath();
    context.moveTo(x - arm, y);
    context.lineTo(x + arm, y);
    context.moveTo(x, y - arm);
    context.lineTo(x, y + arm);
    context.stroke();
    context.globalCompositeOperation = "source-over";
  }
}

/** Offset of a picture in a canvas in whole device pixels, so that image pixels align with the screen. */
function place(room, size, centre) {
  if (size <= room) {
    return Math.floor((room - size) / 2);
  }
  return Math.min(0, Math.max(Math.ceil(room - size), Math.round(room / 2 - centre)));
}

function clampCentre(value, size, seen) {
  return seen >= size ? size / 2 : Math.min(size - seen / 2, Math.max(seen / 2, value));
}
