// Which key does what: one table, which the keyboard, the buttons, the help and screen readers all follow.

/**
 * Let keys and buttons do what a table says.
 *
 * @param rows [{caps, help, keys, buttons}]: what stands on the keys, the name of the words for them, key to action, and
 *   the id of a button to the key that does the same; a key is that of a KeyboardEvent in lower case, an arrow with Shift
 *   is "shift+arrowleft"
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

/** Fill a list of terms with the keys and what they do. */
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
