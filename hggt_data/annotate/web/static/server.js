// Requests to the server, authorised by the token after # in the URL.

export const token = decodeURIComponent(location.hash.slice(1));

/** A failed request; `status` is 0 if there was no valid response. */
export class RequestError extends Error {
  constructor(status, message, body = {}, waitSeconds = 0) {
    super(message);
    this.status = status;
    this.body = body;
    this.waitSeconds = waitSeconds;
  }

  /** Whether the same request may succeed later. */
  get isTemporary() {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

/** Send a request and return the response; throws RequestError. */
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
    throw new RequestError(0, error.message);
  }
  if (response.ok) {
    return response;
  }
  const content = await response.json().catch(() => ({}));
  const wait = Number(response.headers.get("Retry-After")) || 0;
  throw new RequestError(response.status, content.error ?? response.statusText, content, wait);
}

/** Request JSON; a response that is cut off or not JSON (a login page of the network) is a temporary failure. */
export async function requestJson(path, body) {
  const response = await request(path, body);
  try {
    return await response.json();
  } catch (error) {
    throw new RequestError(0, error.message);
  }
}

/** Request and decode a picture; colour profiles and alpha do not change its values. */
export async function requestPicture(path) {
  try {
    return await decode(await request(path));
  } catch (error) {
    if (error instanceof RequestError) {
      throw error;
    }
    return decode(await request(path, undefined, "reload")); // else the browser would cache the damaged file for a day
  }
}

async function decode(response) {
  const blob = await response.blob();
  return createImageBitmap(blob, {colorSpaceConversion: "none", premultiplyAlpha: "none"});
}

/** Load the texts of the page and fill in the elements that name one. */
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
