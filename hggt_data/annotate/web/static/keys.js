// Key bindings: one table for the keyboard, the buttons, the help and screen readers.

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
    const key = event.key.toLowerCase();
    const pressesButton = event.target.matches("button") && (key === "enter" || key === " ");
    const action = actions[event.shiftKey && key.startsWith("arrow") ? `shift+${key}` : key];
    if (action && !pressesButton) {
      event.preventDefault();
      if (!event.repeat || key.startsWith("arrow") || "+-=,.".includes(key)) {
        action();
      }
    }
  });
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
