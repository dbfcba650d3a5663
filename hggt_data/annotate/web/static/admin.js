// The administrator's page: progress and agreement of the annotators, and whom to talk to.

import {loadTexts, request, requestJson, requestPicture} from "./server.js";

const REFRESH_SECONDS = 10;
const GROUPS_PER_PAGE = 5;
const COLUMNS = ["name", "done", "skipped", "seconds", "labels", "gold", "repeats", "last", "flags"];

const $ = (id) => document.getElementById(id);
const text = await loadTexts();
let contradictions = [];
let numShown = 0;

function make(tag, className, content = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.append(content);
  return element;
}

function percent(part, whole) {
  return whole ? `${Math.round((100 * part) / whole)} %` : "–";
}

function number(value, digits = 2) {
  return value === null ? "–" : value.toFixed(digits);
}

function showTotals(progress) {
  const totals = {
    admin_groups: `${progress.complete} / ${progress.groups}`,
    admin_votes: `${progress.votes} / ${progress.wanted} (${percent(progress.votes, progress.wanted)})`,
    admin_alpha: `${number(progress.alpha.ordinal)} (${text("admin_nominal", {value: number(progress.alpha.nominal)})})`,
  };
  if (progress.unreadable.length) {
    totals.admin_unreadable = progress.unreadable.join(", ");
  }
  $("totals").replaceChildren(
    ...Object.entries(totals).flatMap(([key, value]) => [make("dt", "", text(key)), make("dd", "", value)]),
  );
}

function shareOf(labels) {
  const bar = make("div", "share");
  const total = Object.values(labels).reduce((sum, count) => sum + count, 0);
  const words = [];
  for (const [label, count] of Object.entries(labels)) {
    const part = make("span", label.toLowerCase());
    part.style.width = `${total ? (100 * count) / total : 0}%`;
    bar.append(part);
    words.push(`${text(label.toLowerCase())} ${percent(count, total)}`);
  }
  bar.setAttribute("role", "img");
  bar.setAttribute("aria-label", words.join(", "));
  bar.title = words.join(", ");
  return bar;
}

function flagText(flag) {
  const label = flag.values.label && text(flag.values.label.toLowerCase());
  return text(flag.text, {...flag.values, label});
}

function showAnnotators(annotators) {
  $("columns").replaceChildren(...COLUMNS.map((column) => {
    const head = make("th", "", text(`admin_column_${column}`));
    head.scope = "col";
    return head;
  }));
  $("annotators").replaceChildren(...annotators.map((annotator) => {
    const cells = {
      name: annotator.is_active ? annotator.name : text("admin_dropped", {name: annotator.name}),
      done: `${annotator.done} / ${annotator.assigned}`,
      skipped: String(annotator.skipped),
      seconds: number(annotator.seconds, 0),
      labels: shareOf(annotator.labels),
      gold: percent(...annotator.gold),
      repeats: percent(...annotator.repeats),
      last: annotator.last ?? "–",
      flags: annotator.flags.map(flagText).join("; "),
    };
    const row = document.createElement("tr");
    row.append(...COLUMNS.map((column) => make("td", column, cells[column])));
    row.querySelector(".name").classList.toggle("inactive", !annotator.is_active);
    return row;
  }));
}

/** One group: the original, and each candidate with its labels. */
async function showGroup({id, candidates, labels}) {
  const group = make("article", "group");
  const row = make("div", "row");
  group.append(make("h3", "", id), row);
  $("contrary").append(group);
  for (const [k, version] of ["original", ...candidates].entries()) {
    const figure = document.createElement("figure");
    const canvas = document.createElement("canvas");
    const caption = make("figcaption", "", k ? version : text("original"));
    if (k) {
      for (const [name, given] of Object.entries(labels)) {
        const label = given[k - 1].toLowerCase();
        caption.append(make("span", `vote ${label}`, `${name}: ${text(label)}`));
      }
    }
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${id} ${version}`);
    figure.append(canvas, caption);
    row.append(figure);
    const path = ["api/admin/pictures", encodeURIComponent(id), encodeURIComponent(version)].join("/");
    const picture = await requestPicture(path);
    [canvas.width, canvas.height] = [picture.width, picture.height];
    canvas.getContext("2d").drawImage(picture, 0, 0);
  }
}

async function showMore() {
  const next = contradictions.slice(numShown, numShown + GROUPS_PER_PAGE);
  numShown += next.length;
  $("more").hidden = numShown >= contradictions.length;
  await Promise.all(next.map(showGroup));
}

async function refresh() {
  const progress = await requestJson("api/admin/progress");
  showTotals(progress);
  showAnnotators(progress.annotators);
  $("updated").textContent = text("admin_updated", {time: new Date().toLocaleTimeString()});
}

async function loadContradictions() {
  const {total, groups} = await requestJson("api/admin/disagreements");
  contradictions = groups;
  $("contrary-text").textContent = total ? text("admin_contrary_count", {count: total}) : text("admin_contrary_none");
  await showMore();
}

async function downloadAnswers() {
  const blob = await (await request("api/admin/answers.csv")).blob();
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = "answers.csv";
  link.click();
  URL.revokeObjectURL(link.href);
}

/** Run an action and show its error, if any. */
async function attempt(action) {
  try {
    await action();
    $("notice").hidden = true;
  } catch (error) {
    $("notice").textContent = error.message;
    $("notice").hidden = false;
  }
}

$("export").addEventListener("click", () => attempt(downloadAnswers));
$("more").addEventListener("click", () => attempt(showMore));
await attempt(refresh);
await attempt(loadContradictions);
setInterval(() => document.hidden || attempt(refresh), 1000 * REFRESH_SECONDS);
