// If the server refuses the page's modules, ask it why and show the answer: otherwise the page would stay empty.

addEventListener("error", async ({target}) => {
  if (target instanceof HTMLScriptElement) {
    // Unlike GET, this sends the page's origin, as the requests for modules do.
    const response = await fetch("api/texts", {method: "POST"}).catch((error) => ({statusText: error.message}));
    const {error} = await response.json?.().catch(() => ({})) ?? {};
    document.body.replaceChildren(error ?? `${target.src}: ${response.statusText}`);
  }
}, true);
