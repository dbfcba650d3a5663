// Requests to the server in the name of whoever's secret stands behind # in the URL.

export const token = decodeURIComponent(location.hash.slice(1));

/** An answer of the server that says no; `status` is 0 where there was no answer at all. */
export class Refusal extends Error {
  constructor(status, message, body = {}, waitSeconds = 0) {
    super(message);
    this.status = status;
    this.body = body;
    this.waitSeconds = waitSeconds;
  }

  /** Whether the same request may succeed later. */
  get mayPass() {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

/** Send a request and return the response; refusals are thrown. */
export async function request(path, body, cache = "default") {
  const options = {cache, headers: {Authorization: `Bearer ${token}`}};
  if (body !== undefined) {
    options.method = "PUT";
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    throw new Refusal(0, error.message);
  }
  if (response.ok) {
    return response;
  }
  const content = await response.json().catch(() => ({}));
  const wait = Number(response.headers.get("Retry-After")) || 0;
  throw new Refusal(response.status, content.error ?? response.statusText, content, wait);
}

/** The JSON that a request brings; one that is cut off, or that somebody else has answered, may succeed later. */
export async function requestJson(path, body) {
  const response = await request(path, body);
  try {
    return await response.json();
  } catch (error) {
    throw new Refusal(0, error.message);
  }
}

/** A picture, decoded to its own colours: neither profile nor alpha changes a value. */
export async function requestPicture(path) {
  try {
    return await decode(await request(path));
  } catch (error) {
    if (error instanceof Refusal) {
      throw error;
    }
    return decode(await request(path, undefined, "reload")); // the browser would keep the damaged one for a day
  }
}

async function decode(response) {
  const blob = await response.blob();
  return createImageBitmap(blob, {colorSpaceConversion: "none", premultiplyAlpha: "none"});
}

/** All words of the page; fills in the elements that name one. */
export async function loadTexts() {
  let texts;
  while (!texts) {
    const response = await fetch("api/texts").catch(() => null);
    texts = response?.ok ? await response.json().catch(() => null) : null;
    if (!texts) {
      await wait(1);
    }
  }
  for (const element of document.querySelectorAll("[data-text]")) {
    element.textContent = texts[element.dataset.text];
  }
  for (const element of document.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", texts[element.dataset.label]);
    element.title = texts[element.dataset.label];
  }
  document.title = texts.title;
  document.documentElement.lang = texts.lang;
  return (key, values = {}) =>
    texts[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

export function wait(seconds) {
  return new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
}
