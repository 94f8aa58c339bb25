// The letter tray: what waits for the printer, as pictures and as PDF.

import { h, icon, replaceInside } from "/assets/dom.js";
import { formatDay, formatTime, t } from "/assets/i18n.js";
import { open } from "./frame.js";

let letters = null;
let place = null;

function build(main) {
  place = h("section", { class: "panel letters" });
  main.replaceChildren(place);
  draw();
}

function draw() {
  const title = [h("h1", {}, t("start.place.letters")), h("p", { class: "quiet" }, t("start.letters.how"))];
  if (letters === null) replaceInside(place, title, h("p", { class: "quiet", "aria-busy": "true" }, t("desk.loading")));
  else if (!letters.length) replaceInside(place, title, h("p", { class: "quiet" }, t("start.letters.empty")));
  else
    replaceInside(
      place,
      title,
      h(
        "ul",
        { class: "sheets" },
        letters.map((letter) => {
          const address = `/start/api/letters/${encodeURIComponent(letter.name)}`;
          const when = `${formatDay(letter.at)} ${formatTime(letter.at)}`;
          return h(
            "li",
            {},
            h("img", { src: `${address}.png`, alt: t("start.letters.picture", { time: when }), loading: "lazy" }),
            h("a", { href: `${address}.pdf`, download: "", dataset: { key: letter.name } }, icon("letter"), t("start.letters.open"), h("span", { class: "quiet figures" }, ` ${when}`)),
          );
        }),
      ),
    );
}

async function load() {
  const answer = await fetch("/start/api/letters");
  if (!answer.ok) return;
  const found = (await answer.json()).letters;
  if (JSON.stringify(found) === JSON.stringify(letters)) return;
  letters = found;
  draw();
}

const feed = await open(["board", "journey"], build);
for (const kind of ["board", "journey"]) feed.addEventListener(kind, load);
