// Clocks that count down to a promise: amber when three quarters of the time are gone, red when it is broken.

import { t } from "/assets/i18n.js";

let skew = 0; // what the server's clock is ahead of ours, in ms

/** Tell the clocks what time the server has. */
export function serverTime(iso) {
  skew = new Date(iso).getTime() - Date.now();
}

export function now() {
  return Date.now() + skew;
}

/** Time in the largest fitting unit: 0:41, 12 min, 3 h, 2 d. */
export function shortDuration(ms) {
  const seconds = Math.floor(Math.abs(ms) / 1000);
  if (seconds < 600) return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  if (seconds < 5400) return t("time.minutes", { n: Math.round(seconds / 60) });
  if (seconds < 129600) return t("time.hours", { n: Math.round(seconds / 3600) });
  return t("time.days", { n: Math.round(seconds / 86400) });
}

/** Time with its unit, for a sentence: 41 s, 12 min, 3 h, 2 d. */
export function longTime(ms) {
  const seconds = Math.floor(Math.abs(ms) / 1000);
  if (seconds < 90) return t("time.seconds", { n: seconds });
  return seconds < 5400 ? t("time.minutes", { n: Math.round(seconds / 60) }) : shortDuration(ms);
}

/** `good`, `warn` (75 % gone) or `bad` (broken) for a promise given at `start` and due at `due`. */
export function promiseState(due, start, at = now()) {
  const end = new Date(due).getTime();
  if (at >= end) return "bad";
  if (!start) return "good";
  const begin = new Date(start).getTime();
  return at - begin >= 0.75 * (end - begin) ? "warn" : "good";
}

class TimeLeft extends HTMLElement {
  connectedCallback() {
    this.tick();
    ticking.add(this);
  }

  disconnectedCallback() {
    ticking.delete(this);
  }

  tick() {
    const due = this.getAttribute("due");
    if (!due) return;
    const left = new Date(due).getTime() - now();
    const state = promiseState(due, this.getAttribute("start"));
    const words = left >= 0 ? t("time.left", { time: shortDuration(left) }) : t("time.over", { time: shortDuration(left) });
    if (this.textContent !== words) this.textContent = words;
    if (this.dataset.state !== state) this.dataset.state = state;
  }
}

class TimeSince extends HTMLElement {
  connectedCallback() {
    this.tick();
    ticking.add(this);
  }

  disconnectedCallback() {
    ticking.delete(this);
  }

  tick() {
    const words = t("time.waiting", { time: shortDuration(now() - new Date(this.getAttribute("from")).getTime()) });
    if (this.textContent !== words) this.textContent = words;
  }
}

const ticking = new Set();
customElements.define("time-left", TimeLeft);
customElements.define("time-since", TimeSince);
setInterval(() => ticking.forEach((clock) => clock.tick()), 1000);
