// Somebody waits on a live channel: how long since the last word, and the moment that a person may ask for, with its reason.

import { h, icon } from "/assets/dom.js";
import { t } from "/assets/i18n.js";

/** The part of a case's head that is about waiting; nothing for cases on which nobody waits before a window. */
export function holdControls(view, { online, ask, end }) {
  if (!view.row.live || view.row.status === "closed") return null;
  const { hold } = view;
  const choice = h(
    "select",
    { "aria-label": t("desk.hold"), disabled: !online, dataset: { key: "hold" }, onchange: () => choice.value && ask(choice.value) },
    h("option", { value: "" }, t("desk.hold")),
    view.hold_reasons.map((reason) => h("option", { value: reason }, t(`hold.${reason}`))),
  );
  return h(
    "div",
    { class: "case-hold" },
    hold
      ? h(
          "span",
          { class: "waits" },
          icon("clock"),
          t("desk.hold.waits", { reason: t(`hold.${hold.reason}`) }),
          " ",
          h("time-left", { class: "figures", due: hold.due, start: hold.heard }),
        )
      : null,
    choice,
    view.may_end ? endChoice(online, end) : null,
  );
}

/** Nobody has to bear insults: a reason ends the conversation, and the matter goes on in writing. */
function endChoice(online, end) {
  const choice = h(
    "select",
    { "aria-label": t("desk.end"), disabled: !online, dataset: { key: "end" }, onchange: () => choice.value && end(choice.value) },
    h("option", { value: "" }, t("desk.end")),
    ["insults", "threats", "harassment"].map((reason) => h("option", { value: reason }, t(`desk.end.${reason}`))),
  );
  return choice;
}
