// The chat window: header, who answers and how to reach a person, the conversation, and the place to write.

import { h, icon } from "/assets/dom.js";
import { language, preferredLanguage, t, useLanguage } from "/assets/i18n.js";
import { load, save } from "./keep.js";
import { Line } from "./line.js";
import { Transcript } from "./transcript.js";

const WORDS = "/chat/words";
const LANGUAGES = { de: "Deutsch", nb: "Norsk", en: "English" };
const MOST_CHARACTERS = 4096;
const PARENT_WAIT_MS = 1000;

const embedded = window.parent !== window;
const line = new Line();
const labels = []; // [element, how to fill it]: filled again when the language changes
const view = {};
let open = !embedded;
let company = {}; // its name in each language
let unread = 0;
let waiting = false;
let ahead = null;
let typingUntil = 0;

const transcript = new Transcript({
  answer: (text) => send(text),
  retry: (cid) => transcript.replaceMine(cid, line.retry(cid)),
  discard: (cid) => {
    view.text.value = transcript.textOf(cid);
    line.drop(cid);
    transcript.removeMine(cid);
    view.text.focus();
  },
  outbox: line.outbox,
});

function labelled(element, fill) {
  labels.push([element, fill]);
  fill(element);
  return element;
}

function button(name, key, symbol, action) {
  const element = h("button", { type: "button", class: `plain ${name}`, onclick: action }, icon(symbol));
  return labelled(element, (it) => {
    it.setAttribute("aria-label", t(key));
    it.title = t(key);
  });
}

function build() {
  view.title = labelled(h("h1"), (it) => (it.textContent = title()));
  view.language = h(
    "select",
    { class: "language", onchange: chooseLanguage },
    Object.entries(LANGUAGES).map(([code, name]) => h("option", { value: code, lang: code }, name)),
  );
  labelled(view.language, (it) => {
    it.setAttribute("aria-label", t("language"));
    it.value = language();
  });
  view.close = button("close", "close", "cross", close);
  view.close.hidden = !embedded;
  view.lost = h("p", { class: "lost", role: "alert" });
  view.lost.hidden = true;
  view.person = h("button", { type: "button", class: "person", onclick: askForPerson }, icon("person"), h("span"));
  labelled(view.person.lastChild, (it) => (it.textContent = t("person")));
  const intro = h("p", {}, icon("machine"), labelled(h("span"), (it) => (it.textContent = t("intro"))));
  labelled(transcript.element, (it) => it.setAttribute("aria-label", t("conversation")));
  view.status = h("p", { class: "status quiet", role: "status" });
  view.news = h("div", { class: "unseen", "aria-live": "polite" });
  view.text = h("textarea", { id: "text", rows: "1", maxlength: String(MOST_CHARACTERS), oninput: () => line.typing() });
  labelled(view.text, (it) => (it.placeholder = t("write")));
  view.text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      view.form.requestSubmit();
    }
  });
  view.send = h("button", { class: "primary send" });
  labelled(view.send, (it) => (it.textContent = t("send")));
  view.form = h(
    "form",
    { onsubmit: submit },
    labelled(h("label", { for: "text", class: "unseen" }), (it) => (it.textContent = t("write"))),
    view.text,
    view.send,
  );
  document.body.append(
    h("header", {}, view.title, view.language, view.close),
    h(
      "main",
      {},
      view.lost,
      h("div", { class: "intro" }, intro, view.person),
      transcript.element,
      view.status,
      view.news,
      view.form,
    ),
  );
  addEventListener("keydown", (event) => event.key === "Escape" && embedded && close());
  document.addEventListener("visibilitychange", seen);
}

function title() {
  return new URLSearchParams(location.search).get("title") || company[language()] || t("title");
}

async function changeLanguage(code) {
  await useLanguage(code, WORDS);
  line.language = code;
  relabel();
}

function chooseLanguage() {
  save("language", view.language.value);
  return changeLanguage(view.language.value);
}

function relabel() {
  document.title = title();
  for (const [element, fill] of labels) fill(element);
  transcript.render();
  showStatus();
  showLost();
}

// --- the visitor

function submit(event) {
  event.preventDefault();
  const text = view.text.value.trim();
  if (text) send(text);
  view.text.value = "";
  view.text.focus();
}

function send(text, request = "") {
  transcript.addMine(line.say(text, request));
  showStatus();
}

function askForPerson() {
  send(t("person.said"), "person");
  view.person.disabled = true;
  view.text.focus();
}

function close() {
  open = false; // what comes while the page is still hiding us was seen by nobody
  tell({ close: true });
}

// --- the line

line.addEventListener("state", () => {
  showLost();
  showStatus();
});
line.addEventListener("company", ({ detail }) => {
  company = detail.company;
  document.title = view.title.textContent = title();
});
line.addEventListener("welcome", ({ detail }) => transcript.welcome(detail.head));
line.addEventListener("reset", () => {
  transcript.clear();
  waitingIs(false);
});
line.addEventListener("event", ({ detail: event }) => {
  const news = transcript.add(event);
  if (event.kind === "handover") waitingIs(true);
  else if (event.data.from === "person" || event.kind === "closed") waitingIs(false);
  if (event.data.from === "visitor") return;
  typingUntil = 0;
  if (news) {
    view.news.lang = event.data.lang || language();
    view.news.textContent = `${transcript.authorOf(event)}: ${event.data.text}`;
    if (!open) unread += 1;
    tell({});
  }
  seen();
  showStatus();
});
line.addEventListener("sent", ({ detail }) => transcript.refreshMine(detail.cid));
line.addEventListener("failed", ({ detail }) => {
  transcript.refreshMine(detail.cid);
  view.news.textContent = t(`failed.${detail.code}`);
  if (!waiting) view.person.disabled = false;
});
line.addEventListener("typing", ({ detail }) => {
  typingUntil = Date.now() + detail.ttl_s * 1000;
  setTimeout(showStatus, detail.ttl_s * 1000 + 50);
  showStatus();
});
line.addEventListener("queue", ({ detail }) => {
  ahead = detail.ahead;
  showStatus();
});

function waitingIs(value) {
  waiting = value;
  ahead = null;
  view.person.disabled = value;
  showStatus();
}

function showStatus() {
  let words = "";
  if (line.state === "open" && waiting) words = ahead === null ? t("waiting") : t(ahead ? "waiting.ahead" : "waiting.next", { n: ahead });
  else if (line.state === "open" && Date.now() < typingUntil) words = t("working");
  if (view.status.textContent !== words) view.status.textContent = words;
  view.status.classList.toggle("working", words !== "" && !waiting);
}

function showLost() {
  const lost = line.state === "lost" || line.state === "refused";
  view.lost.textContent = lost ? t(line.state === "lost" ? "lost" : "refused") : "";
  view.lost.hidden = !lost;
  view.send.disabled = view.text.disabled = line.state === "refused";
}

function seen() {
  if (!open || document.visibilityState !== "visible") return;
  unread = 0;
  line.markRead();
}

// --- the page that embeds us; what it sends is believed because only allowed sites may embed (frame-ancestors)

function tell(message) {
  if (embedded) parent.postMessage({ contactbus: { unread, ...message } }, "*"); // nothing secret in it
}

let heardParent = () => {};
let built = () => {};
const building = new Promise((resolve) => (built = resolve));

addEventListener("message", async ({ source, data }) => {
  const said = embedded && source === parent && data?.contactbus;
  if (!said) return;
  await building;
  if ("open" in said) {
    open = said.open;
    if (open) view.text.focus();
    seen();
    tell({});
  }
  if (said.language in LANGUAGES) await changeLanguage(said.language);
  if (said.identity) line.identify(said.identity);
  heardParent();
});

// The visitor's own choice first, then the site's, then the browser's.
await useLanguage(load("language") ?? preferredLanguage(), WORDS);
build();
relabel();
for (const message of line.outbox.values()) transcript.addMine(message);
built();
if (embedded) {
  // Who is logged in is known before the first connection; a site without our loader is not waited for long.
  const answered = new Promise((resolve) => (heardParent = resolve));
  tell({ ready: true });
  await Promise.race([answered, new Promise((resolve) => setTimeout(resolve, PARENT_WAIT_MS))]);
}
line.start(language());
if (open) view.text.focus();
