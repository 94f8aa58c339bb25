// What the three pages share: the head with language and links, the feed, and names for what the bus calls by key.

import { h, icon } from "/assets/dom.js";
import { formatNumber, language, preferredLanguage, rememberLanguage, t, tOr, useLanguage } from "/assets/i18n.js";
import { LiveFeed, offlineBar } from "/assets/live.js";
import { serverTime } from "/assets/timeleft.js";

export let about = {};

const PLACES = [
  ["/", "start.place.start"],
  ["/mailbox", "start.place.mailbox"],
  ["/letters", "start.place.letters"],
];

/** Load words and facts, open the feed, and call `build(main)` now and whenever the language changes. */
export async function open(kinds, build) {
  await useLanguage(preferredLanguage());
  about = await (await fetch("/start/api/about")).json();
  serverTime(about.server_time);
  const feed = new LiveFeed("/start/api/feed", kinds);
  const header = h("header", { class: "top" });
  const main = h("main");
  document.body.append(header, main);
  const draw = () => {
    head(header, draw);
    build(main, feed);
  };
  draw();
  offlineBar(feed, () => t("start.lost"));
  feed.start();
  return feed;
}

function head(header, draw) {
  document.title = t("start.title");
  const here = location.pathname;
  header.replaceChildren(
    h("p", { class: "brand" }, h("strong", {}, "contactbus"), h("span", { class: "quiet" }, t("start.claim"))),
    about.demo
      ? h(
          "nav",
          { "aria-label": t("start.places") },
          PLACES.map(([path, words]) => h("a", { href: path, "aria-current": path === here ? "page" : null }, t(words))),
          h("a", { href: "/chat/demo" }, t("start.place.chat")),
          h("form", { method: "post", action: "/start/desk", target: "_blank" }, h("button", { class: "plain" }, icon("person"), t("start.place.desk"))),
        )
      : h("nav", { "aria-label": t("start.places") }, h("a", { href: "/desk" }, t("start.place.desk"))),
    h("span", { class: "quiet running" }, t("start.running", { pack: about.pack })),
    h(
      "label",
      {},
      h("span", { class: "unseen" }, t("language")),
      h(
        "select",
        {
          onchange: async (event) => {
            rememberLanguage(event.target.value);
            await useLanguage(event.target.value);
            draw();
            header.querySelector("select").focus();
          },
        },
        ["de", "nb", "en"].map((code) => h("option", { value: code, selected: code === language() }, tOr(`language.${code}`, code))),
      ),
    ),
  );
}

export const channelName = (key) => tOr(`channel.${key}`, key);
export const departmentName = (key) => about.departments?.[key]?.[language()] || tOr(`department.${key}`, key);

export function issueName(label) {
  return about.issues?.[label]?.[language()] || (label || "").split(".").pop().replaceAll("_", " ");
}

export const seconds = (value) => t("start.seconds", { s: formatNumber(value, value < 10 ? 1 : 0) });

/** POST as our own page. The answer, or throws an Error whose message is a key of the catalogue. */
export async function send(path, body, headers = {}) {
  const raw = body instanceof Blob;
  let answer;
  try {
    answer = await fetch(`/start/api/${path}`, {
      method: "POST",
      headers: { "X-Contactbus-Start": "1", "Content-Type": raw ? "application/octet-stream" : "application/json", ...headers },
      body: raw ? body : JSON.stringify(body),
    });
  } catch {
    throw new Error("offline");
  }
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(told.error || "trouble");
  return told;
}

export const problemWords = (error) => tOr(error.message, tOr(`error.${error.message}`, t("error.trouble")));
