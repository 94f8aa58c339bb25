// The start page: rows per channel, doors to try, what just happened.

import { h, icon, replaceInside } from "/assets/dom.js";
import { t, tOr } from "/assets/i18n.js";
import { about, channelName, open } from "./frame.js";
import { rows, STOPS } from "./rows.js";
import { story } from "./story.js";
import { tryIt } from "./try.js";

let journeys = [];
let selected = "";
let parts = null;

function build(main) {
  if (!about.demo) {
    parts = { counts: h("section", { class: "panel" }) };
    main.replaceChildren(parts.counts, doorsToUse());
    counts(about.counts);
    return;
  }
  parts = { rows: h("section", { class: "panel live-rows" }), story: h("section", { class: "panel story" }) };
  replaceInside(
    main,
    parts.rows,
    missing(),
    h("div", { class: "halves" }, h("section", { class: "panel doors" }, h("h2", {}, t("start.try")), tryIt()), parts.story),
  );
  draw();
}

function draw() {
  const choose = (contact) => {
    selected = contact;
    draw();
  };
  const newest = [...journeys].sort((a, b) => (a.at < b.at ? 1 : -1));
  const shown = selected || newest[0]?.contact || "";
  replaceInside(
    parts.rows,
    h("h1", {}, t("start.headline")),
    h("p", { class: "stops quiet", "aria-hidden": "true" }, STOPS.map((stop) => h("span", {}, t(`start.stop.${stop}`)))),
    rows(newest, about.channels, shown, choose),
  );
  replaceInside(parts.story, h("h2", {}, t("start.story")), h("p", { class: "quiet" }, t("start.story.how")), story(newest, shown, choose));
}

function missing() {
  if (!about.missing.length) return null;
  return h("ul", { class: "missing" }, about.missing.map((key) => h("li", {}, icon("warning"), t(key))));
}

function counts(numbers) {
  replaceInside(
    parts.counts,
    h("h1", {}, t("start.counts")),
    h(
      "ul",
      { class: "counts" },
      about.channels
        .filter((name) => name !== "link")
        .map((name) => h("li", {}, h("span", {}, channelName(name)), h("span", { class: "big figures" }, String(numbers[name]?.heard || 0)), h("span", { class: "quiet" }, t("start.counts.heard")), h("span", { class: "big figures" }, String(numbers[name]?.answered || 0)), h("span", { class: "quiet" }, t("start.counts.answered")))),
    ),
  );
}

function doorsToUse() {
  const lines = [
    about.smtp && ["envelope", t("start.use.mail", { smtp: about.smtp, address: about.mail_address })],
    about.drop_folder && ["letter", t("start.use.letter", { folder: about.drop_folder })],
    about.letter_tray && ["letter", t("start.use.tray", { folder: about.letter_tray })],
    about.channels.includes("chat") && ["bubble", t("start.use.chat", { url: `${location.origin}/chat/demo` })],
    ...Object.entries(about.phone_numbers).map(([number, spoken]) => ["phone", t("start.use.phone", { number, language: tOr(`language.${spoken}`, spoken) })]),
    ["person", t("start.use.desk")],
  ].filter(Boolean);
  return h(
    "section",
    { class: "panel" },
    h("h2", {}, t("start.use")),
    h("ul", { class: "use" }, lines.map(([symbol, words]) => h("li", {}, icon(symbol), h("span", {}, words)))),
    missing(),
  );
}

const feed = await open(["board", "journey", "counts"], build);
feed.addEventListener("board", (event) => {
  journeys = event.detail;
  draw();
});
feed.addEventListener("journey", (event) => {
  const at = journeys.findIndex((journey) => journey.contact === event.detail.contact);
  if (at >= 0) journeys[at] = event.detail;
  else journeys.push(event.detail);
  draw();
});
feed.addEventListener("counts", (event) => counts(event.detail));
