// Words in the reader's language. One catalogue per language; a key that is missing falls back to English.

const LANGUAGES = ["de", "nb", "en"];
const FALLBACK = { nn: "nb", no: "nb", da: "nb", sv: "nb" };

let catalogue = {};
let fallback = {};
let current = "en";

/** The language to show: an explicit wish (?lang=), the last choice on this machine, then the browser's own. */
export function preferredLanguage() {
  const wished = new URLSearchParams(location.search).get("lang");
  const remembered = safely(() => localStorage.getItem("contactbus.language"));
  for (const wish of [wished, remembered, ...navigator.languages]) {
    const short = (wish || "").slice(0, 2).toLowerCase();
    const language = FALLBACK[short] || short;
    if (LANGUAGES.includes(language)) return language;
  }
  return "en";
}

/** Load a language and make it the page's. A page with words of its own names the folder of its catalogues. */
export async function useLanguage(language, folder = "/assets/i18n") {
  const load = async (name) => (await fetch(`${folder}/${name}.json`)).json();
  [catalogue, fallback] = await Promise.all([load(language), language === "en" ? {} : load("en")]);
  current = language;
  document.documentElement.lang = language;
}

/** Remember a choice for the next visit. */
export function rememberLanguage(language) {
  safely(() => localStorage.setItem("contactbus.language", language));
}

export function language() {
  return current;
}

/** The words of a key with {placeholders} filled in. With a number `n`, `key.one` is taken for 1 when it exists. */
export function t(key, values = {}) {
  const single = values.n === 1 ? find(`${key}.one`) : undefined;
  const words = single ?? find(key) ?? key;
  return words.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/** The words of a key, or what is given when nobody has words for it (a channel or label that we do not know). */
export function tOr(key, otherwise) {
  return find(key) ?? otherwise;
}

/** How numbers and times are written in the page's language; English as in Europe: 15:20, Sun 22 Nov. */
export function writing() {
  return current === "en" ? "en-GB" : current;
}

export function formatTime(iso) {
  return new Intl.DateTimeFormat(writing(), { hour: "2-digit", minute: "2-digit" }).format(new Date(iso));
}

export function formatDay(iso) {
  return new Intl.DateTimeFormat(writing(), { weekday: "short", day: "numeric", month: "short" }).format(new Date(iso));
}

export function formatMonth(iso) {
  return new Intl.DateTimeFormat(writing(), { month: "long", year: "numeric" }).format(new Date(iso));
}

export function formatNumber(value, digits = 0) {
  return new Intl.NumberFormat(writing(), { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
}

export function formatMoney(minor, currency) {
  return new Intl.NumberFormat(writing(), { style: "currency", currency }).format(minor / 100);
}

function find(key) {
  return catalogue[key] ?? fallback[key];
}

function safely(action) {
  try {
    return action();
  } catch {
    return null; // storage may be forbidden; then nothing is remembered
  }
}
