// What comes before everything else: the text to accept, and the withdrawal code, which is shown once.

import {showBlocks} from "./markdown.js";
import {requestJson} from "./server.js";

const $ = (id) => document.getElementById(id);

/** Ask until the text is accepted and the code noted; never returns if the person declines. */
export async function askConsent({sha256, is_given, is_changed, blocks}, text) {
  showBlocks($("consent-text"), blocks);
  $("consent-changed").hidden = !is_changed;
  if (!is_given && (await answerTo("consent")) !== "accept") {
    document.body.replaceChildren(Object.assign(document.createElement("p"), {className: "alone", textContent: text("consent_declined")}));
    await new Promise(() => {});
  }
  const {code} = await requestJson("api/consent", {sha256});
  if (code) {
    $("code").textContent = code;
    $("code-copy").onclick = async () => {
      await navigator.clipboard.writeText(code);
      $("code-copy").textContent = text("code_copied");
    };
    $("code-copy").hidden = !navigator.clipboard; // only over https or on this machine
    await answerTo("code");
    $("code").textContent = "";
    await requestJson("api/consent/code", {});
  }
}

/** Show a dialog that only its buttons close, and return the value of the button. */
async function answerTo(name) {
  const dialog = $(`${name}-dialog`);
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  for (dialog.returnValue = ""; ; ) {
    const closed = new Promise((resolve) => dialog.addEventListener("close", resolve, {once: true}));
    dialog.showModal();
    $(`${name}-text`)?.focus();
    await closed;
    if (dialog.returnValue || name === "code") {
      return dialog.returnValue;
    }
  }
}
