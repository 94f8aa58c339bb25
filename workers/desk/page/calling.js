// Calling the customer: begun here, and how it went where somebody dials by hand.

import { h, icon } from "/assets/dom.js";
import { formatTime, t } from "/assets/i18n.js";

const STEPS = new Set(["callback-asked", "callback-tried", "callback-missed", "callback-ended"]);

/** What is to be done about a call-back; nothing while nobody is to be called. */
export function callCard(view, { online, call, called }) {
  const { callback } = view;
  if (!callback) return null;
  const last = view.events.findLast((event) => STEPS.has(event.kind));
  const under = callback.reply ? "rings" : last?.kind === "callback-tried" ? "dial" : last?.reason === "unsaid" ? "unsaid" : "";
  const button = (key, act, kind = "") => h("button", { class: kind, disabled: !online, dataset: { key }, onclick: act }, t(`desk.${key}`));
  return h(
    "section",
    { class: "card calling" },
    h("h2", {}, t("desk.calling")),
    h("p", { class: "big figures" }, icon("phone"), " ", callback.number),
    h("p", { class: "quiet" }, tries(callback)),
    under === "rings" ? h("p", { role: "status" }, icon("clock"), t("desk.calling.rings")) : null,
    under === "dial" || under === "unsaid"
      ? [
          under === "dial" ? h("p", { role: "status" }, t("desk.calling.dial", { number: callback.number })) : h("p", { role: "status" }, t("event.callback-missed.unsaid")),
          h("p", { class: "pair" }, button("called.talked", () => called("talked"), "primary"), button("called.customer", () => called("customer"))),
        ]
      : null,
    under ? null : button("call", () => call(), "primary"),
  );
}

/** A call that nobody asked for, beside the number that the customer called from. */
export function callButton(view, { online, call }) {
  if (view.callback || view.row.status === "closed") return null;
  return h("button", { class: "small", disabled: !online, dataset: { key: "call" }, onclick: () => call() }, t("desk.call"));
}

function tries(callback) {
  const words = [t("desk.calling.tries", { n: callback.tries || 0 })];
  if (callback.next_at && new Date(callback.next_at) > new Date()) words.push(t("desk.calling.next", { time: formatTime(callback.next_at) }));
  return words.join(" · ");
}
