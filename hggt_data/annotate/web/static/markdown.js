// Builds elements from the blocks of hggt_data/annotate/markdown.py. Text stays text: no HTML is parsed anywhere.

import {request} from "./server.js";

const TAGS = {strong: "strong", em: "em", code: "code", link: "a"};

/** Fill an element with blocks; `addressOf` gives the path of a picture on this server. */
export function showBlocks(element, blocks, addressOf) {
  element.replaceChildren(...blocks.flatMap((block) => [...textOf(block), ...picturesOf(block, addressOf)]));
}

function textOf({kind, level, items}) {
  if (kind === "bullets" || kind === "numbers") {
    return [make(kind === "bullets" ? "ul" : "ol", items.map((item) => make("li", item.map(spanOf))))];
  }
  const tag = kind === "heading" ? `h${Math.min(level + 1, 6)}` : "p"; // h1 is the page's own
  return items.map((item) => make(tag, item.map(spanOf)));
}

function picturesOf({pictures}, addressOf) {
  if (!pictures.length || !addressOf) {
    return [];
  }
  const figures = pictures.map(({path, words}) => {
    const image = document.createElement("img");
    image.alt = words;
    void load(image, addressOf(path));
    return make("figure", [image, ...(words ? [make("figcaption", [words])] : [])]);
  });
  const row = make("div", figures);
  row.className = "examples";
  return [row];
}

/** Requests of `img` would not say who asks. A picture that is missing leaves its words. */
async function load(image, address) {
  const response = await request(address).catch(() => null);
  if (response) {
    image.src = URL.createObjectURL(await response.blob());
  }
}

function spanOf({text, style, href}) {
  if (style === "plain") {
    return text;
  }
  const element = make(TAGS[style], [text]);
  if (style === "link") {
    element.href = href; // http, https or mailto; see markdown.py
    element.target = "_blank";
    element.rel = "noreferrer";
  }
  return element;
}

function make(tag, children) {
  const element = document.createElement(tag);
  element.append(...children);
  return element;
}
