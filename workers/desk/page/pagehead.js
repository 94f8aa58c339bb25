// The head of the pages beside the desk: where one is, where one may go, the language.

import { h, icon } from "/assets/dom.js";
import { language, rememberLanguage, t } from "/assets/i18n.js";
import { post } from "./api.js";
import { colleagueName, languageName } from "./words.js";

const PAGES = [
  ["desk", "/desk", "work"],
  ["live", "/desk/live", "supervise"],
  ["reports", "/desk/reports", "reports"],
  ["wallboard", "/desk/wallboard", "wallboard"],
];

/** Links to the pages that this person's role allows; the page at hand is marked. */
export function pageLinks(me, current) {
  const pages = PAGES.filter(([, , right]) => me.rights.includes(right));
  return h(
    "nav",
    { class: "pages", "aria-label": t("nav.pages") },
    pages.map(([name, path]) => h("a", { href: path, "aria-current": name === current ? "page" : null }, t(`nav.${name}`))),
  );
}

/** End the session, here and for every page of this browser. */
export async function signOut() {
  await post("signout", {});
  location.assign("/desk/login");
}

export function pageHead(me, current, speak) {
  return h(
    "header",
    { class: "top" },
    h("h1", {}, "contactbus ", h("span", { class: "quiet" }, me.company[language()] || me.tenant)),
    pageLinks(me, current),
    h(
      "label",
      {},
      h("span", { class: "unseen" }, t("language")),
      h(
        "select",
        {
          onchange: (event) => {
            rememberLanguage(event.target.value);
            speak(event.target.value);
          },
        },
        ["de", "nb", "en"].map((code) => h("option", { value: code, selected: code === language() }, languageName(code))),
      ),
    ),
    h("span", { class: "who" }, icon("person"), colleagueName(me.person)),
    h("button", { class: "plain sign-out", onclick: signOut }, t("desk.signout")),
  );
}
