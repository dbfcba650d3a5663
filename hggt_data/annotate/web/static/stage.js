// Shows the pictures of a group side by side or one at a time, all at the same position and scale.
// An image pixel is a square of whole device pixels at any display scaling; only a whole picture larger than its pane is
// scaled down.

const ZOOMS = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32];
const SYMBOLS = {Positive: "+", Similar: "=", Negative: "−"};
const NARROW_PX = 330;

export class Stage {
  #root;
  #text;
  #panes = [];
  #pictures = null;
  #zoom = 0; // device pixels per image pixel; 0 shows the whole picture
  #centre = [0, 0];
  #pointer = null; // [x, y] in image pixels
  #split = 0.5;
  #observer = new ResizeObserver((entries) => this.#resize(entries));
  #onZoom;
  selected = 1;
  isFlipped = false;
  isFocused = false;
  hasSlider = false;
  numFlips = 0;

  /**
   * @param root the element to fill
   * @param text (key, values) => string
   * @param handlers {label(position, label), zoom()}
   */
  constructor(root, text, numCandidates, handlers) {
    this.#root = root;
    this.#text = text;
    this.#onZoom = handlers.zoom;
    for (let position = 0; position <= numCandidates; position++) {
      this.#panes.push(this.#makePane(position, handlers.label));
    }
    new ResizeObserver(() => this.#arrange()).observe(root);
    this.select(1);
  }

  get isShown() {
    return this.#pictures !== null;
  }

  /** Device pixels per image pixel, the same in all panes. */
  get scale() {
    return this.#pictures ? this.#zoom || this.#fit() : 1;
  }

  /** Show pictures, the original first; null hides all. */
  show(pictures) {
    this.#pictures = pictures;
    this.isFlipped = false;
    this.numFlips = 0;
    if (pictures) {
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
    for (const pane of this.#panes.slice(1)) {
      const label = labels[pane.position - 1];
      for (const button of pane.buttons) {
        button.setAttribute("aria-pressed", button.dataset.label === label);
      }
      const labelText = this.#text(label ? label.toLowerCase() : "not_labelled");
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

  showWhole() {
    this.#setZoom(0);
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
    const {canvas} = this.#panes[this.isFocused ? this.selected : 0];
    this.#moveTo(this.#centre[0] + (right * canvas.width) / this.scale, this.#centre[1] + (down * canvas.height) / this.scale);
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
    const {canvas} = this.#panes[this.isFocused ? this.selected : 0];
    const [{width, height}] = this.#pictures;
    this.#centre = [clampCentre(x, width, canvas.width / this.scale), clampCentre(y, height, canvas.height / this.scale)];
    this.#draw();
  }

  #nameOf(position) {
    return position ? this.#text("version", {number: position}) : this.#text("original");
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
    name.textContent = this.#nameOf(position);
    caption.append(name);
    const buttons = position ? this.#makeButtons(position, onLabel) : [];
    if (position) {
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
    try {
      this.#observer.observe(canvas, {box: "device-pixel-content-box"});
    } catch {
      this.#observer.observe(canvas); // Safari does not report device pixels; #resize computes them
    }
    return pane;
  }

  #makeButtons(position, onLabel) {
    return Object.entries(SYMBOLS).map(([label, symbol]) => {
      const key = label.toLowerCase();
      const button = document.createElement("button");
      button.className = key;
      button.dataset.label = label;
      button.setAttribute("aria-pressed", "false");
      button.setAttribute("aria-label", `${this.#text(key)}: ${this.#text(`${key}_hint`)}`);
      button.title = `${this.#text(key)}: ${this.#text(`${key}_hint`)}`;
      const word = document.createElement("span");
      word.className = "word";
      word.textContent = ` ${this.#text(key)}`;
      button.append(symbol, word);
      button.addEventListener("click", () => onLabel(position, label));
      return button;
    });
  }

  #listen(pane) {
    const {canvas} = pane;
    let drag = null;
    canvas.addEventListener("pointerdown", (event) => {
      if (pane.position) {
        this.select(pane.position);
      }
      canvas.setPointerCapture(event.pointerId);
      drag = {x: event.clientX, y: event.clientY, centre: this.#centre};
    });
    canvas.addEventListener("pointermove", (event) => {
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
      if (this.#pictures && event.deltaY) {
        this.zoomBy(event.deltaY < 0 ? 1 : -1, this.#pointOf(pane, event));
      }
    }, {passive: false});
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

  /** Choose the number of columns that makes the panes largest. */
  #arrange() {
    const count = this.isFocused ? 1 : this.#panes.length;
    const {clientWidth, clientHeight} = this.#root;
    let best = {side: 0, columns: 1};
    for (let columns = 1; columns <= count; columns++) {
      const rows = Math.ceil(count / columns);
      const side = Math.min(clientWidth / columns, clientHeight / rows - 40);
      best = side > best.side ? {side, columns} : best;
    }
    this.#root.style.gridTemplateColumns = `repeat(${best.columns}, minmax(0, 1fr))`;
    this.#root.style.gridAutoRows = "minmax(0, 1fr)";
    this.#root.classList.toggle("narrow", clientWidth / best.columns < NARROW_PX);
    for (const pane of this.#panes) {
      pane.figure.hidden = this.isFocused && pane.position !== this.selected;
    }
    this.#draw();
  }

  /** The largest scale at which the whole picture fits every visible pane. */
  #fit() {
    const [{width, height}] = this.#pictures;
    const visible = this.#panes.filter(({figure}) => !figure.hidden);
    const fit = Math.min(...visible.map(({canvas}) => Math.min(canvas.width / width, canvas.height / height)));
    return fit >= 1 ? Math.floor(fit) : Math.max(fit, 0.01);
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
  }

  #drawPane({position, canvas, context, figure}) {
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (!this.#pictures || figure.hidden) {
      return;
    }
    const original = this.#pictures[0];
    const shown = this.isFlipped ? original : this.#pictures[position];
    const {left, top} = this.#placeIn(canvas);
    const {scale} = this;
    const size = [original.width * scale, original.height * scale];
    context.imageSmoothingEnabled = scale < 1;
    context.imageSmoothingQuality = "high";
    context.drawImage(shown, left, top, ...size);
    if (this.hasSlider && position && !this.isFlipped) {
      const edge = Math.round(this.#split * canvas.width);
      context.save();
      context.beginPath();
      context.rect(0, 0, edge, canvas.height);
      context.clip();
      context.drawImage(original, left, top, ...size);
      context.restore();
      context.fillStyle = "#fff";
      context.fillRect(edge - 1, 0, 2, canvas.height);
    }
    if (this.#pointer) {
      this.#drawPointer(context, left + this.#pointer[0] * scale, top + this.#pointer[1] * scale);
    }
    canvas.dataset.shows = this.isFlipped ? 0 : position;
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
