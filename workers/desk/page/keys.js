// The keyboard. Single letters, and only while nobody is typing; AltGr (which looks like Ctrl+Alt) never acts.

import { t } from "/assets/i18n.js";

const KEYS = [
  ["j", "k"],
  ["Enter"],
  ["q"],
  ["s"],
  ["r"],
  ["n"],
  ["t"],
  ["h"],
  ["c"],
  ["e"],
  ["u"],
  ["o"],
  ["a"],
  ["y"],
  ["p"],
  ["x"],
  ["i"],
  ["m"],
  ["v"],
  ["g"],
  ["Ctrl", "Enter"],
  ["Esc"],
  ["?"],
];

const STORED = "contactbus.keys";
let off = remembered();

/** Whether single letters act; somebody who speaks to the machine or hits keys by chance can switch them off. */
export const keysAct = () => !off;

export function letKeysAct(act) {
  off = !act;
  try {
    localStorage.setItem(STORED, off ? "off" : "on");
  } catch {
    // then it holds until the page is left
  }
}

/** Pairs of key and what it does, for the help. */
export function keyMap() {
  return KEYS.map((keys) => [keys.join(" "), t(`key.${keys.join("").toLowerCase()}`)]);
}

export function listenToKeys(actions) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing || event.getModifierState("AltGraph")) return;
    const typing = event.target.closest("input, textarea, select, [contenteditable]");
    if (typing && event.key !== "Escape") return;
    if (off && event.key !== "Escape" && event.key !== "?") return;
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
}

function remembered() {
  try {
    return localStorage.getItem(STORED) === "off";
  } catch {
    return false;
  }
}
