// The administrator's page: progress and agreement of the annotators, and whom to talk to.

import {loadTexts, request, requestJson, requestPicture} from "./server.js";

const REFRESH_SECONDS = 10;
const GROUPS_PER_PAGE = 5;
const COLUMNS = ["name", "done", "left", "skipped", "seconds", "zoom", "labels", "gold", "repeats", "last"];
// The usual words, of Landis and Koch (1977).
const ALPHA_WORDS = {
  admin_alpha_perfect: 0.8,
  admin_alpha_substantial: 0.6,
  admin_alpha_moderate: 0.4,
  admin_alpha_fair: 0.2,
  admin_alpha_slight: 0,
  admin_alpha_chance: -Infinity,
};

const $ = (id) => document.getElementById(id);
const text = await loadTexts();
let contradictions = [];
let isStudy = false; // whose preferences are not shown
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

/** A share with the number it rests on. */
function share(part, whole) {
  return whole ? text("admin_share", {percent: Math.round((100 * part) / whole), whole}) : "–";
}

function number(value, digits = 2) {
  return value === null ? "–" : (Number(value.toFixed(digits)) || 0).toFixed(digits); // never -0.00
}

function duration(seconds) {
  if (seconds === null) {
    return "–";
  }
  const minutes = Math.ceil(seconds / 60);
  return minutes < 90 ? text("admin_minutes", {minutes}) : text("admin_hours", {hours: Math.round(minutes / 60)});
}

function alphaText({ordinal, nominal}, compared) {
  if (ordinal === null) {
    return text("admin_alpha_none");
  }
  const [word] = Object.entries(ALPHA_WORDS).find(([, least]) => ordinal > least);
  const values = {word: text(word), ordinal: number(ordinal), nominal: number(nominal), compared};
  return text("admin_alpha_value", values);
}

function fillList(id, lines) {
  $(id).replaceChildren(...lines.map((line) => make("li", "", line)));
}

/** Of all annotators together; null before the first answer. Who has not begun counts like the others. */
function secondsLeft(annotators) {
  const active = annotators.filter((annotator) => annotator.is_active);
  const paces = active.flatMap(({seconds}) => (seconds === null ? [] : [seconds])).sort((one, other) => one - other);
  if (!paces.length) {
    return null;
  }
  const usual = paces[paces.length >> 1];
  return active.reduce((sum, {seconds_left: left, assigned}) => sum + (left ?? assigned * usual), 0);
}

function showTotals(progress) {
  const totals = {
    admin_groups: `${progress.complete} / ${progress.groups}`,
    admin_votes: `${progress.votes} / ${progress.wanted} (${percent(progress.votes, progress.wanted)})`,
    admin_left: duration(secondsLeft(progress.annotators)),
  };
  if (isStudy) {
    totals.admin_study = text("admin_study_hidden");
  } else {
    totals.admin_alpha = alphaText(progress.alpha, progress.compared);
  }
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
  const columns = COLUMNS.filter((column) => column !== "labels" || !isStudy);
  $("columns").replaceChildren(...columns.map((column) => {
    const head = make("th", "", text(`admin_column_${column}`));
    head.scope = "col";
    return head;
  }));
  $("annotators").replaceChildren(...annotators.map((annotator) => {
    const cells = {
      name: annotator.is_active ? annotator.name : text("admin_dropped", {name: annotator.name}),
      done: `${annotator.done} / ${annotator.assigned}`,
      left: annotator.is_active ? duration(annotator.seconds_left) : "–",
      skipped: String(annotator.skipped),
      seconds: number(annotator.seconds, 0),
      zoom: share(...annotator.full_zoom),
      labels: shareOf(annotator.labels),
      gold: share(...annotator.gold),
      repeats: share(...annotator.repeats),
      last: annotator.last ?? "–",
    };
    const row = document.createElement("tr");
    row.append(...columns.map((column) => make("td", column, cells[column])));
    for (const [k, cell] of [...row.cells].entries()) {
      cell.dataset.column = text(`admin_column_${columns[k]}`); // shown beside it in a narrow window
    }
    row.querySelector(".name").classList.toggle("flagged", annotator.flags.length > 0);
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
    canvas.setAttribute("aria-label", `${id} ${k ? version : text("original")}`);
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
  isStudy = progress.is_study;
  $("export").hidden = $("contrary-section").hidden = isStudy;
  showTotals(progress);
  const flags = progress.annotators.flatMap(({name, flags}) => flags.map((flag) => `${name}: ${flagText(flag)}`));
  fillList("flags", flags.length ? flags : [text("admin_flags_none")]);
  $("flags").classList.toggle("flagged", flags.length > 0);
  showAnnotators(progress.annotators);
  fillList("skips", progress.skips.map(({name, group, reason}) => `${group}, ${name}: ${reason}`));
  $("skips-section").hidden = !progress.skips.length;
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
