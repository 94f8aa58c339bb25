// The keyboard. Single letters, and only while nobody is typing; AltGr (which looks like Ctrl+Alt) never acts.

import { t } from "/assets/i18n.js";

const KEYS = [
  ["j", "k"],
  ["Enter"],
  ["q"],
  ["r"],
  ["n"],
  ["a"],
  ["t"],
  ["h"],
  ["x"],
  ["Ctrl", "Enter"],
  ["Esc"],
  ["?"],
];

/** Pairs of key and what it does, for the help. */
export function keyMap() {
  return KEYS.map((keys) => [keys.join(" "), t(`key.${keys.join("").toLowerCase()}`)]);
}

export function listenToKeys(actions) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing || event.getModifierState("AltGraph")) return;
    const typing = event.target.closest("input, textarea, select, [contenteditable]");
    if (typing && event.key !== "Escape") return;
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
}
