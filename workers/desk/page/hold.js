// Somebody waits on a live channel: how long since the last word, and the moment that a person may ask for, with its reason.

import { h, icon } from "/assets/dom.js";
import { t } from "/assets/i18n.js";
import { menu } from "./menu.js";

/** How long somebody has been waiting; nothing for cases on which nobody waits before a window. */
export function waitingWords(view) {
  const { hold } = view;
  if (!hold || !view.row.live || view.row.status === "closed") return null;
  return h(
    "p",
    { class: "waits" },
    icon("clock"),
    t("desk.hold.waits", { reason: t(`hold.${hold.reason}`) }),
    " ",
    h("time-left", { class: "figures", due: hold.due, start: hold.heard }),
  );
}

/** Asking for a moment; and nobody has to bear insults: a reason ends the conversation, and the matter goes on in writing. */
export function holdControls(view, { online, ask, end }) {
  if (!view.row.live || view.row.status === "closed") return null;
  const named = (reasons, prefix) => reasons.map((reason) => [reason, t(`${prefix}.${reason}`)]);
  return [
    menu({ key: "hold", words: t("desk.hold"), choices: named(view.hold_reasons, "hold"), act: ask, disabled: !online }),
    view.may_end ? menu({ key: "end", words: t("desk.end"), choices: named(view.end_reasons, "desk.end"), act: end, disabled: !online }) : null,
  ];
}
