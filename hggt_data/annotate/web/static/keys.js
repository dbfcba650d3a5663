// Key bindings: one table for the keyboard, the buttons, the help and screen readers. They work on any keyboard layout
// and input method: a key that types no Latin letter counts by its place, as on a US keyboard.

const PLACES = {
  Space: " ", Enter: "enter", NumpadEnter: "enter", Backspace: "backspace",
  Comma: ",", Period: ".", Minus: "-", Equal: "=", NumpadAdd: "+", NumpadSubtract: "-",
};

/**
 * Bind keys and buttons.
 *
 * @param rows [{caps, help, keys, buttons}]: key labels, the key of their help text, actions by key, and keys by button
 *   id; a key is KeyboardEvent.key in lower case, with Shift "shift+arrowleft"
 */
export function listenToKeys(rows) {
  const actions = Object.assign({}, ...rows.map(({keys}) => keys));
  for (const [id, key] of rows.flatMap(({buttons}) => Object.entries(buttons ?? {}))) {
    const button = document.getElementById(id);
    button.addEventListener("click", actions[key]);
    button.setAttribute("aria-keyshortcuts", key);
  }
  addEventListener("keydown", (event) => {
    const isTyping = event.target.matches("input, select, textarea");
    if (isTyping || event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open]")) {
      return;
    }
    const key = namesOf(event).find((name) => name in actions);
    const pressesButton = event.target.matches("button") && (key === "enter" || key === " ");
    if (key !== undefined && !pressesButton) {
      event.preventDefault();
      if (!event.repeat || key.includes("arrow") || "+-=,.".includes(key)) {
        actions[key]();
      }
    }
  });
}

/** The names under which a pressed key may be bound, the first wins. */
function namesOf(event) {
  const key = event.key.toLowerCase();
  if (event.shiftKey) {
    return [key.startsWith("arrow") ? `shift+${key}` : key];
  }
  if (event.getModifierState("AltGraph")) {
    return [key];
  }
  const place = /^(?:Key|Digit|Numpad)(.)$/.exec(event.code)?.[1].toLowerCase() ?? PLACES[event.code];
  if (event.code.startsWith("Digit")) {
    return [place, key]; // typed with Shift on a French keyboard, where the same key types "&"; on a Czech one, "+"
  }
  const isForeign = /[^\x00-\x7f]|^(process|unidentified|dead)$/.test(key); // an input method or a dead key, too
  return [isForeign ? place : key];
}

/** Fill a description list with the keys and their actions. */
export function showKeys(rows, list, text) {
  for (const {caps, help} of rows) {
    const term = document.createElement("dt");
    for (const cap of caps) {
      const element = document.createElement("kbd");
      element.textContent = cap;
      term.append(element, " ");
    }
    const meaning = document.createElement("dd");
    meaning.textContent = text(help);
    list.append(term, meaning);
  }
}
