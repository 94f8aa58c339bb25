// A scan as a picture: small beside the text, large when pressed, its pages to leaf through. Where somebody was is
// remembered while the desk is open.

import { h } from "/assets/dom.js";
import { t } from "/assets/i18n.js";

const counted = new Map(); // address of a file -> promise of its number of pages
const place = new Map(); // address of a file -> page that was last looked at
const enlarged = new Set(); // addresses of files that are shown large

/** The picture of a file at `address`; buttons only where there is more than one page. */
export function scan(address, name) {
  const picture = h("img", { loading: "lazy", class: "scan" });
  const enlarge = h("button", { class: "plain enlarge", title: t("desk.file.enlarge"), onclick: () => size(!enlarged.has(address)) }, picture);
  const back = h("button", { class: "small", onclick: () => turn(-1) }, t("desk.file.back"));
  const on = h("button", { class: "small", onclick: () => turn(1) }, t("desk.file.on"));
  const where = h("span", { class: "quiet figures", "aria-live": "polite" });
  const leaf = h("div", { class: "leaf", hidden: true }, back, where, on);
  let pages = 1;

  const show = () => {
    const page = Math.min(place.get(address) || 0, pages - 1);
    picture.src = `${address}/picture?page=${page}`;
    picture.alt = t("desk.file.picture", { page: page + 1, name });
    where.textContent = t("desk.file.page", { page: page + 1, pages });
    back.disabled = page === 0;
    on.disabled = page === pages - 1;
    leaf.hidden = pages < 2;
  };
  const size = (large) => {
    enlarged[large ? "add" : "delete"](address);
    figure.classList.toggle("large", large);
    enlarge.setAttribute("aria-pressed", String(large));
  };
  const turn = (by) => {
    place.set(address, (place.get(address) || 0) + by);
    show();
  };
  const count = async () => {
    if (!counted.has(address)) counted.set(address, fetch(`${address}/pages`).then((answer) => (answer.ok ? answer.json() : { pages: 1 })));
    const found = await counted.get(address).catch(() => ({ pages: 1 }));
    if (found.pages === pages) return;
    pages = found.pages;
    show();
  };
  picture.addEventListener("load", count, { once: true });
  pages = (place.get(address) || 0) + 1; // until counted, no further than somebody has been
  const figure = h("figure", {}, enlarge, leaf);
  show();
  size(enlarged.has(address));
  return figure;
}
