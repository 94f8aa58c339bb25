// The mailbox of the demo's customers: what they have received, links and all.

import { h, icon, replaceInside } from "/assets/dom.js";
import { formatDay, formatTime, t } from "/assets/i18n.js";
import { open } from "./frame.js";

let mails = null;
let chosen = 0;
let place = null;

function build(main) {
  place = h("section", { class: "panel mailbox" });
  main.replaceChildren(place);
  draw();
}

function draw() {
  if (mails === null) {
    replaceInside(place, h("h1", {}, t("start.place.mailbox")), h("p", { class: "quiet", "aria-busy": "true" }, t("desk.loading")));
    return;
  }
  const mail = mails.find((one) => one.number === chosen) || mails[0];
  chosen = mail?.number ?? 0; // what somebody is reading stays, whatever comes in
  replaceInside(
    place,
    h("h1", {}, t("start.place.mailbox")),
    h("p", { class: "quiet" }, t("start.mailbox.how")),
    mails.length
      ? h(
          "div",
          { class: "mails" },
          h(
            "ul",
            { class: "mail-list" },
            mails.map((one) =>
              h(
                "li",
                {},
                h(
                  "button",
                  {
                    class: "plain mail-line",
                    "aria-current": one === mail ? "true" : null,
                    dataset: { key: `mail-${one.number}` },
                    onclick: () => {
                      chosen = one.number;
                      draw();
                    },
                  },
                  h("span", { class: "mail-to" }, one.to),
                  h("span", { class: "figures quiet" }, formatTime(one.at)),
                  h("span", { class: "mail-subject" }, one.subject || t("start.mailbox.nosubject")),
                ),
              ),
            ),
          ),
          h(
            "article",
            { class: "mail" },
            h("h2", {}, mail.subject || t("start.mailbox.nosubject")),
            h("p", { class: "quiet" }, t("start.mailbox.head", { from: mail.from, to: mail.to, time: `${formatDay(mail.at)} ${formatTime(mail.at)}` })),
            h("div", { class: "mail-text" }, linked(mail.text)),
            mail.attachments.length ? h("p", { class: "quiet" }, icon("letter"), mail.attachments.join(", ")) : null,
          ),
        )
      : h("p", { class: "quiet" }, t("start.mailbox.empty")),
  );
}

/** The text with its web addresses as links; everything else stays text. */
function linked(text) {
  const parts = [];
  let at = 0;
  for (const found of text.matchAll(/https?:\/\/[^\s<>"']+[^\s<>"'.,;:!?)]/g)) {
    parts.push(text.slice(at, found.index), h("a", { href: found[0], target: "_blank", rel: "noopener noreferrer" }, found[0]));
    at = found.index + found[0].length;
  }
  return [...parts, text.slice(at)];
}

async function load() {
  const answer = await fetch("/start/api/mailbox");
  if (answer.ok) mails = (await answer.json()).mails;
  draw();
}

const feed = await open(["board", "journey"], build);
for (const kind of ["board", "journey"]) feed.addEventListener(kind, load);
