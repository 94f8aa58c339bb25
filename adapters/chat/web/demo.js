// A made-up shop's page, to show how the widget sits in somebody else's page.

import { h } from "/assets/dom.js";
import { formatMoney, preferredLanguage, rememberLanguage, t, useLanguage } from "/assets/i18n.js";

const LANGUAGES = { de: "Deutsch", nb: "Norsk", en: "English" };
const GOODS = [
  { key: "lamp", shape: "M12 5 7 15h10ZM12 15v4M9 19h6", eur: 4990, nok: 54900, gbp: 4290 },
  { key: "kettle", shape: "M7 9h9l1 10H6ZM16 11h3v4h-2M9 9V7h4v2", eur: 3900, nok: 44900, gbp: 3490 },
  { key: "blanket", shape: "M5 6h14v12H5ZM5 10h14M5 14h14M9 6v12M14 6v12", eur: 7900, nok: 89900, gbp: 6900 },
  { key: "coffee", shape: "M6 5h12v5H6ZM8 10v9h8v-9M10 14h4", eur: 12900, nok: 149900, gbp: 11500 },
];
const MONEY = { de: ["eur", "EUR"], nb: ["nok", "NOK"], en: ["gbp", "GBP"] };

async function show(language) {
  await useLanguage(language, "/chat/words/demo");
  for (const element of document.querySelectorAll("[data-words]")) element.textContent = t(element.dataset.words);
  document.title = t("name");
  const [price, currency] = MONEY[language];
  document.querySelector("nav").setAttribute("aria-label", t("languages"));
  document.querySelector("nav").replaceChildren(
    ...Object.entries(LANGUAGES).map(([code, name]) =>
      h(
        "button",
        { type: "button", class: "plain", lang: code, "aria-pressed": String(code === language), onclick: () => choose(code) },
        name,
      ),
    ),
  );
  document.querySelector(".goods").replaceChildren(
    ...GOODS.map((item) =>
      h("li", {}, drawing(item.shape), h("h2", {}, t(`goods.${item.key}`)), h("p", {}, formatMoney(item[price], currency))),
    ),
  );
  customElements.whenDefined("contactbus-chat").then(() => window.contactbusChat.setLanguage(language));
}

function choose(language) {
  rememberLanguage(language);
  show(language);
}

function drawing(shape) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", shape);
  svg.append(path);
  return svg;
}

await show(preferredLanguage());
