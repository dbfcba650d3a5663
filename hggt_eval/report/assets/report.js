"use strict";
// The report: plots and a table of all images, and a gallery whose pictures zoom and move together. The page contains all data.

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const ROWS = 50;
// Okabe and Ito's colours, which stay distinct in common kinds of colour blindness; yellow is darkened for a white page.
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8a7500"];

function element(name, text = "", attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function fillSelect(select, options) {
  select.replaceChildren(...options.map(([value, text]) => element("option", text, { value })));
}

const metricOf = (name) => data.metrics.find((metric) => metric.name === name);
const titleOf = (metric) => `${metric.title} ${metric.higher_is_better ? "↑" : "↓"}`;

/** A group's score as a number: NaN if missing, Infinity for identical pictures. */
function score(group, method, metric) {
  const value = group.scores[method]?.[metric];
  return value === undefined ? NaN : value === "inf" ? Infinity : Number(value);
}

const written = (value, decimals) =>
  Number.isNaN(value) ? "-" : Number.isFinite(value) ? value.toFixed(decimals).replace("-", "\u2212") : "∞";

// Selection

const state = { metric: "", order: "", scatter: "", hidden: new Set(), chosen: null, sortBy: "id", ascending: true, first: 0 };
const shownMethods = () => data.methods.filter((method) => !state.hidden.has(method));

// Plots

function drawMark(context, x, y, radius, number) {
  context.fillStyle = context.strokeStyle = COLOURS[number % COLOURS.length];
  const shape = Math.floor(number / COLOURS.length) % 3;
  context.beginPath();
  if (shape === 0) context.arc(x, y, radius, 0, 2 * Math.PI);
  else if (shape === 1) context.rect(x - radius, y - radius, 2 * radius, 2 * radius);
  else for (const [dx, dy] of [[0, -1.3], [1.2, 0.9], [-1.2, 0.9]]) context.lineTo(x + dx * radius, y + dy * radius);
  context.fill();
}

/** Round numbers across a range, about as many as requested. */
function ticks(low, high, about) {
  const rough = (high - low) / about;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  const found = [];
  for (let k = Math.ceil(low / step); k * step <= high + step * 1e-9; k++) found.push(k * step);
  return { values: found, decimals: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
}

function extent(values) {
  let low = Infinity, high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (!(high > low)) [low, high] = Number.isFinite(low) ? [low - 0.5, low + 0.5] : [0, 1];
  const margin = (high - low) * 0.04;
  return [low - margin, high + margin];
}

/** A scatter plot on a canvas, with marks that can be clicked; points are {x, y, method, group}. */
class Plot {
  constructor(canvas) {
    this.canvas = canvas;
    this.points = [];
    canvas.addEventListener("pointermove", (event) => this.point(event, false));
    canvas.addEventListener("click", (event) => this.point(event, true));
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  show(points, labels, xIsRank = false) {
    Object.assign(this, { points: points.filter(({ x, y }) => Number.isFinite(x) && Number.isFinite(y)), labels, xIsRank });
    this.canvas.setAttribute("aria-label", `${labels.y} against ${labels.x}; see the table below for the numbers`);
    this.draw();
  }

  draw() {
    const { canvas, labels } = this;
    if (!labels) return;
    const ratio = window.devicePixelRatio || 1;
    const width = canvas.clientWidth, height = canvas.clientHeight;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    context.font = "13px system-ui, sans-serif";
    const box = { left: 62, right: width - 12, top: 24, bottom: height - 44 };
    const [xLow, xHigh] = extent(this.points.map((point) => point.x));
    const [yLow, yHigh] = extent(this.points.map((point) => point.y));
    this.toX = (x) => box.left + ((x - xLow) / (xHigh - xLow)) * (box.right - box.left);
    this.toY = (y) => box.bottom - ((y - yLow) / (yHigh - yLow)) * (box.bottom - box.top);
    this.drawAxes(context, box, [xLow, xHigh], [yLow, yHigh], width, height);
    const radius = this.points.length > 20000 ? 1 : this.points.length > 2000 ? 1.7 : 3.2;
    context.globalAlpha = this.points.length > 2000 ? 0.5 : 0.85;
    for (const point of this.points) drawMark(context, this.toX(point.x), this.toY(point.y), radius, data.methods.indexOf(point.method));
    context.globalAlpha = 1;
    context.strokeStyle = "#1c2530";
    for (const point of this.points) {
      if (point.group.id !== state.chosen) continue;
      context.beginPath();
      context.arc(this.toX(point.x), this.toY(point.y), radius + 3, 0, 2 * Math.PI);
      context.stroke();
    }
  }

  drawAxes(context, box, [xLow, xHigh], [yLow, yHigh], width, height) {
    context.strokeStyle = "#dde2e8";
    context.fillStyle = "#4a5663";
    context.textAlign = "right";
    context.textBaseline = "middle";
    const vertical = ticks(yLow, yHigh, 6);
    for (const value of vertical.values) {
      const y = Math.round(this.toY(value)) + 0.5;
      context.beginPath();
      context.moveTo(box.left, y);
      context.lineTo(box.right, y);
      context.stroke();
      context.fillText(written(value, vertical.decimals), box.left - 6, y);
    }
    context.textAlign = "center";
    context.textBaseline = "top";
    const across = ticks(xLow, xHigh, width < 480 ? 4 : 7);
    for (const value of across.values) {
      if (this.xIsRank && (value < 1 || across.decimals)) continue;
      context.fillText(written(value, across.decimals), this.toX(value), box.bottom + 6);
    }
    context.fillText(this.labels.x, (box.left + box.right) / 2, height - 18);
    context.textAlign = "left";
    context.fillText(this.labels.y, 4, 2);
  }

  point(event, click) {
    const bounds = this.canvas.getBoundingClientRect();
    const x = event.clientX - bounds.left, y = event.clientY - bounds.top;
    let nearest = null, least = 20 ** 2;
    for (const point of this.points) {
      const distance = (this.toX(point.x) - x) ** 2 + (this.toY(point.y) - y) ** 2;
      if (distance < least) [nearest, least] = [point, distance];
    }
    if (!nearest) return;
    const scores = data.metrics.map((m) => `${m.title} ${written(score(nearest.group, nearest.method, m.name), m.decimals)}`);
    byId("pointed").textContent = `${nearest.group.id}, ${nearest.method}: ${scores.join(", ")}`;
    if (click) choose(nearest.group.id);
  }
}

const sortedPlot = new Plot(byId("sorted-plot"));
const scatterPlot = new Plot(byId("scatter-plot"));

/** A group's score, or its difference from the baseline's score. */
function valueBy(kind, group, method, metric) {
  const own = score(group, method, metric);
  return kind === "difference" ? own - score(group, data.baseline, metric) : own;
}

function drawPlots() {
  const metric = metricOf(state.metric);
  const at = state.order.indexOf(":");
  const kind = state.order.slice(0, at), leader = state.order.slice(at + 1);
  const ranked = data.groups
    .map((group) => [group, valueBy(kind, group, leader, metric.name)])
    .filter(([, value]) => !Number.isNaN(value))
    .sort((a, b) => a[1] - b[1]);
  const methods = shownMethods();
  const points = ranked.flatMap(([group], rank) =>
    methods.map((method) => ({ x: rank + 1, y: valueBy(kind, group, method, metric.name), method, group })));
  const what = kind === "difference" ? `${titleOf(metric)} minus that of ${data.baseline}` : titleOf(metric);
  sortedPlot.show(points, { x: "rank of the image", y: what }, true);
  const other = metricOf(state.scatter);
  const pairs = data.groups.flatMap((group) =>
    methods.map((method) => ({ x: score(group, method, other.name), y: score(group, method, metric.name), method, group })));
  scatterPlot.show(pairs, { x: titleOf(other), y: titleOf(metric) });
}

// Table of images

function sortedRows() {
  const words = byId("filter").value.trim().toLowerCase();
  const found = data.groups.filter((group) => group.id.toLowerCase().includes(words));
  const sign = state.ascending ? 1 : -1;
  if (state.sortBy === "id") return state.ascending ? found : found.reverse();
  const key = new Map(found.map((group) => [group, score(group, state.sortBy, state.metric)]));
  // Groups without a score come last in either order.
  return found.sort((a, b) => Number.isNaN(key.get(a)) - Number.isNaN(key.get(b)) || sign * (key.get(a) - key.get(b)));
}

function drawTable() {
  const metric = metricOf(state.metric);
  const heads = ["id", ...data.methods].map((name) => {
    const head = element("th", "", { scope: "col" });
    if (state.sortBy === name) head.setAttribute("aria-sort", state.ascending ? "ascending" : "descending");
    const button = element("button", name, { type: "button" });
    button.addEventListener("click", () => {
      state.ascending = state.sortBy === name ? !state.ascending : name === "id" || !metric.higher_is_better;
      Object.assign(state, { sortBy: name, first: 0 });
      drawTable();
      byId("image-table").querySelector("th[aria-sort] button").focus();
    });
    head.append(button);
    return head;
  });
  byId("image-table").tHead.rows[0].replaceChildren(...heads);
  const rows = sortedRows();
  state.first = Math.max(0, Math.min(state.first, rows.length - 1));
  const page = rows.slice(state.first, state.first + ROWS);
  byId("image-table").tBodies[0].replaceChildren(...page.map((group) => {
    const row = element("tr", "", group.id === state.chosen ? { class: "chosen" } : {});
    row.append(element("th", group.id, { scope: "row", title: group.id }));
    for (const method of data.methods) row.append(element("td", written(score(group, method, metric.name), metric.decimals)));
    return row;
  }));
  byId("range").textContent = rows.length ? `${state.first + 1} to ${state.first + page.length} of ${rows.length}` : "none";
  byId("previous").disabled = state.first === 0;
  byId("next").disabled = state.first + ROWS >= rows.length;
}

/** Select a group in the plots and the table, and show it in the gallery if the page has its pictures. */
function choose(id) {
  state.chosen = id;
  byId("filter").value = id;
  state.first = 0;
  drawTable();
  sortedPlot.draw();
  scatterPlot.draw();
  const number = data.gallery.findIndex((group) => group.id === id);
  if (number >= 0) openGroup(number);
}

function startImages() {
  const first = data.metrics[0].name;
  Object.assign(state, { metric: first, scatter: (data.metrics[1] ?? data.metrics[0]).name, order: `score:${data.methods[0]}` });
  const metrics = data.metrics.map((metric) => [metric.name, titleOf(metric)]);
  byId("scatter-plot").closest("figure").hidden = metrics.length < 2;
  const orders = data.methods.map((method) => [`score:${method}`, `score of ${method}`]);
  const others = data.baseline === null ? [] : data.methods.filter((method) => method !== data.baseline);
  orders.push(...others.map((method) => [`difference:${method}`, `difference of ${method} from ${data.baseline}`]));
  for (const [id, options, key] of [["metric", metrics, "metric"], ["scatter-metric", metrics, "scatter"], ["order", orders, "order"]]) {
    fillSelect(byId(id), options);
    byId(id).value = state[key];
    byId(id).addEventListener("change", () => {
      state[key] = byId(id).value;
      drawPlots();
      drawTable();
    });
  }
  byId("legend").append(...data.methods.map((method, number) => {
    const button = element("button", "", { type: "button", "aria-pressed": "true" });
    const mark = element("canvas", "", { width: 28, height: 28, "aria-hidden": "true" });
    drawMark(mark.getContext("2d"), 14, 14, 10, number);
    button.append(mark, method);
    button.addEventListener("click", () => {
      if (!state.hidden.delete(method)) state.hidden.add(method);
      button.setAttribute("aria-pressed", String(!state.hidden.has(method)));
      drawPlots();
    });
    return button;
  }));
  byId("filter").addEventListener("input", () => {
    state.first = 0;
    drawTable();
  });
  for (const [id, step] of [["previous", -ROWS], ["next", ROWS]]) {
    byId(id).addEventListener("click", () => {
      state.first += step;
      drawTable();
    });
  }
  drawPlots();
  drawTable();
}

// Gallery. All panes show the same region: `left` and `top` are fractions of a picture, and `scale` is 1 for all of it.

const view = { scale: 1, left: 0, top: 0 };
const pointers = new Map();
let panes = []; // {picture, figure, frame, image, canvas}
let opening = 0;

function moveTo(scale, left, top) {
  view.scale = Math.min(64, Math.max(1, scale));
  const most = 1 - 1 / view.scale;
  view.left = Math.min(most, Math.max(0, left));
  view.top = Math.min(most, Math.max(0, top));
  for (const { frame } of panes) {
    frame.style.touchAction = view.scale > 1 ? "none" : "pan-y";
    for (const child of frame.children) {
      child.style.transform = `scale(${view.scale}) translate(${-100 * view.left}%, ${-100 * view.top}%)`;
    }
  }
  const large = panes.find(({ picture }) => picture.kind !== "lr");
  byId("panes").classList.toggle("enlarged", Boolean(large && large.frame.clientWidth * view.scale > large.image.naturalWidth));
}

/** Zoom by a factor around (x, y), given as fractions of the frame. */
function zoom(factor, x = 0.5, y = 0.5) {
  const scale = Math.min(64, Math.max(1, view.scale * factor));
  moveTo(scale, view.left + x / view.scale - x / scale, view.top + y / view.scale - y / scale);
}

function placeIn(frame, event) {
  const bounds = frame.getBoundingClientRect();
  return [(event.clientX - bounds.left) / bounds.width, (event.clientY - bounds.top) / bounds.height];
}

function listen(frame) {
  frame.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return; // without Ctrl or Cmd the page scrolls
    event.preventDefault();
    zoom(2 ** (-event.deltaY / 200), ...placeIn(frame, event));
  }, { passive: false });
  frame.addEventListener("dblclick", (event) => (event.shiftKey ? moveTo(1, 0, 0) : zoom(2, ...placeIn(frame, event))));
  frame.addEventListener("pointerdown", (event) => {
    frame.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, placeIn(frame, event));
  });
  for (const end of ["pointerup", "pointercancel"]) frame.addEventListener(end, (event) => pointers.delete(event.pointerId));
  frame.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const now = placeIn(frame, event);
    const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
    if (other) {
      const distance = ([x, y]) => Math.hypot(x - other[0], y - other[1]);
      zoom(distance(now) / Math.max(distance(before), 1e-6), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
    } else {
      moveTo(view.scale, view.left - (now[0] - before[0]) / view.scale, view.top - (now[1] - before[1]) / view.scale);
    }
    pointers.set(event.pointerId, now);
  });
}

function makePane(picture, shape) {
  const figure = element("figure");
  const frame = element("div", "", { class: "view" });
  frame.style.aspectRatio = shape;
  const image = element("img", "", { src: picture.src, alt: `${picture.name} ${picture.label ?? ""}`.trim(), draggable: "false" });
  if (picture.kind === "lr") image.className = "small";
  const canvas = element("canvas", "", { hidden: "", "aria-hidden": "true" });
  frame.append(image, canvas);
  listen(frame);
  const caption = element("figcaption");
  caption.append(element("span", picture.name));
  if (picture.label) caption.append(element("span", picture.label, { class: `chip ${picture.label}` }));
  if (picture.note) caption.append(" ", element("span", picture.note, { class: "remark" }));
  figure.append(frame, caption);
  return { picture, figure, frame, image, canvas };
}

async function openGroup(number) {
  const ticket = ++opening; // only the last group is shown if the user clicks again before its pictures are decoded
  const group = data.gallery[number];
  [...byId("groups").children].forEach((button, k) => button.setAttribute("aria-pressed", String(k === number)));
  const unchecked = new Set([...byId("shown").querySelectorAll("input:not(:checked)")].map((input) => input.value));
  const reference = byId("difference").value;
  const large = group.pictures.find((picture) => picture.kind !== "lr");
  const size = new Image();
  size.src = large.src;
  await size.decode();
  if (ticket !== opening) return;
  panes = group.pictures.map((picture) => makePane(picture, `${size.naturalWidth} / ${size.naturalHeight}`));
  byId("panes").replaceChildren(...panes.map(({ figure }) => figure));
  byId("shown").replaceChildren(element("legend", "Pictures"), ...panes.map(({ picture, figure }) => {
    const label = element("label");
    const box = element("input", "", { type: "checkbox", value: picture.name });
    box.checked = !unchecked.has(picture.name);
    figure.hidden = !box.checked;
    box.addEventListener("change", () => (figure.hidden = !box.checked));
    label.append(box, picture.name);
    return label;
  }));
  const choices = panes.filter(({ picture }) => picture.kind !== "lr").map(({ picture }) => [picture.name, picture.name]);
  fillSelect(byId("difference"), [["", "none"], ...choices]);
  byId("difference").value = choices.some(([name]) => name === reference) ? reference : "";
  await Promise.all(panes.map(({ image }) => image.decode()));
  if (ticket !== opening) return;
  moveTo(1, 0, 0);
  showDifferences();
}

function pixelsOf(image) {
  const canvas = element("canvas", "", { width: image.naturalWidth, height: image.naturalHeight });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, image.naturalWidth, image.naturalHeight);
}

/** Replace every picture except the reference and the LR by its absolute difference from the reference, times the gain. */
function showDifferences() {
  const reference = panes.find(({ picture }) => picture.name === byId("difference").value);
  const gain = Number(byId("gain").value);
  const base = reference && pixelsOf(reference.image);
  for (const pane of panes) {
    const { image, canvas } = pane;
    const fits = base && image.naturalWidth === base.width && image.naturalHeight === base.height;
    canvas.hidden = !fits || pane === reference || pane.picture.kind === "lr";
    if (canvas.hidden) continue;
    const own = pixelsOf(image);
    for (let k = 0; k < own.data.length; k++) {
      if (k % 4 !== 3) own.data[k] = gain * Math.abs(own.data[k] - base.data[k]); // Uint8ClampedArray limits it to 255
    }
    Object.assign(canvas, { width: own.width, height: own.height });
    canvas.getContext("2d").putImageData(own, 0, 0);
  }
}

function startGallery() {
  const note = byId("gallery-note");
  if (!data.gallery.length) {
    note.textContent = "This report was made without pictures.";
    return;
  }
  note.textContent = "The best and worst groups of each metric, by the mean over methods. Drag to move; pinch, double-click, " +
    "Ctrl + wheel or use the buttons to zoom. All pictures move together.";
  byId("gallery-body").hidden = false;
  byId("groups").append(...data.gallery.map((group, number) => {
    const button = element("button", "", { type: "button", "aria-pressed": "false" });
    const text = element("span");
    text.append(element("span", group.id), element("span", group.why.join(", ")));
    const sample = group.pictures.find((picture) => picture.kind === "original") ?? group.pictures[0];
    button.append(element("img", "", { src: sample.src, alt: "" }), text);
    button.addEventListener("click", () => openGroup(number));
    return button;
  }));
  byId("zoom-in").addEventListener("click", () => zoom(1.5));
  byId("zoom-out").addEventListener("click", () => zoom(1 / 1.5));
  byId("whole").addEventListener("click", () => moveTo(1, 0, 0));
  byId("pixels").addEventListener("click", () => {
    const { frame, image } = panes.find(({ picture, figure }) => picture.kind !== "lr" && !figure.hidden) ?? panes[0];
    const width = frame.clientWidth || 1;
    zoom(image.naturalWidth / (width * window.devicePixelRatio) / view.scale);
  });
  byId("difference").addEventListener("change", showDifferences);
  byId("gain").addEventListener("input", () => {
    byId("gain-value").textContent = byId("gain").value;
    showDifferences();
  });
  byId("panes").addEventListener("keydown", (event) => {
    const step = 0.1 / view.scale;
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    if (moves[event.key] && view.scale > 1) moveTo(view.scale, view.left + moves[event.key][0], view.top + moves[event.key][1]);
    else if (event.key === "+" || event.key === "=") zoom(1.5);
    else if (event.key === "-") zoom(1 / 1.5);
    else if (event.key === "0") moveTo(1, 0, 0);
    else return;
    event.preventDefault();
  });
  new ResizeObserver(() => moveTo(view.scale, view.left, view.top)).observe(byId("panes"));
  openGroup(0);
}

if (data.metrics.length) startImages();
else byId("images").hidden = true;
startGallery();
