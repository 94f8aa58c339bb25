// Who else is at a case, in words.

import { language, t } from "/assets/i18n.js";
import { colleagueName } from "./words.js";

/** A sentence about the others at a case; whoever writes goes before those who read. */
export function hereWords(others, me) {
  const writing = others.filter((other) => other.writing);
  const shown = writing.length ? writing : others;
  const names = shown.map((other) => (other.person === me ? t("here.you") : colleagueName(other.person)));
  const joined = new Intl.ListFormat(language(), { type: "conjunction" }).format(names);
  return t(`here.${writing.length ? "writing" : "reading"}${names.length > 1 ? ".many" : ""}`, { names: joined });
}
