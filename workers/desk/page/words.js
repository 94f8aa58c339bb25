// Names for what the bus calls by key: issues, departments, channels, outcomes.

import { language, t, tOr } from "/assets/i18n.js";

let issues = {};
let departments = {};
let names = {};

export function learnWords(me) {
  issues = me.issues;
  departments = me.departments;
  names = me.names;
}

/** An issue as the company's pack names it, after "about"; the label's own words otherwise. */
export function issueName(label) {
  if (!label) return "";
  return issues[label]?.[language()] || label.split(".").pop().replaceAll("-", " ").replaceAll("_", " ");
}

/** What a case is about, for a line of a list or a heading. */
export function aboutWords(row) {
  if (row.intent) return t("desk.about", { issue: issueName(row.intent) });
  return row.subject || t("desk.about.unknown");
}

export function departmentName(key) {
  return departments[key]?.[language()] || tOr(`department.${key}`, key);
}

export const channelName = (key) => tOr(`channel.${key}`, key);
export const statusName = (key) => tOr(`status.${key}`, key);
export const languageName = (key) => tOr(`language.${key}`, key);

/** The number of a case in groups of four, as it stands in letters; anything else as it is. */
export const caseNumber = (number) => (/^\d{14}$/.test(number) ? number.replace(/(.{4})(?=.)/g, "$1 ") : number);

/** A colleague as he or she is called; whoever was entered since the page was opened, by the name that signs in. */
export const colleagueName = (name) => names[name] || name;

/** Who did it, for a line of the timeline. */
export function actorName(actor) {
  if (actor === "machine") return t("desk.actor.machine");
  if (actor === "customer") return t("desk.actor.customer");
  return colleagueName(actor);
}

/** What to call somebody without a name. */
export const nobody = (row) => (row.channel === "chat" ? "desk.name.visitor" : "desk.name.unknown");

/** Why people were asked to take over: a reason of ours (perhaps with the rules behind it), or an issue of the pack. */
export function reasonName(reason) {
  const whole = tOr(`reason.${reason}`, reason in issues ? issueName(reason) : null);
  const cut = reason.indexOf(": ");
  if (whole || cut < 0) return whole || reason;
  const rules = reason.slice(cut + 2).split(", ").map((rule) => tOr(`rule.${rule}`, rule));
  return `${tOr(`reason.${reason.slice(0, cut)}`, reason.slice(0, cut))}: ${rules.join(", ")}`;
}

/** What hinders something, as a sentence for people: of a refusal of the server. */
export function refusalWords(refusal) {
  if (refusal.code !== "missing") return t(`error.${refusal.code}`);
  const found = refusal.detail.missing.map((word) => tOr(`refused.${word}`, null) || tOr(`closing.${word}.todo`, null) || tOr(`rule.${word}`, null));
  return found.filter(Boolean).join(" ") || t("error.form");
}

/** What triage went by: sentences of ours in the reader's language, the customer's own words as they are. */
export function becauseWords(reason) {
  const whole = tOr(`because.${reason.replace(/^answers the question .*/, "answers the question")}`, null);
  if (whole) return whole;
  const [, kind, words] = /^(rule|danger): (.*)$/s.exec(reason) || [];
  return kind ? t(`because.${kind}`, { words }) : reason;
}
