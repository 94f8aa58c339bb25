// Who somebody is: his addresses, who else he wrote as, and making two people one or two again. What is in conflict is
// shown before and after; nothing is overwritten.

import { h, icon, replaceInside } from "/assets/dom.js";
import { formatDay, t, tOr } from "/assets/i18n.js";
import { get, post } from "./api.js";
import { colleagueName, languageName, refusalWords } from "./words.js";

const FIELDS = ["name", "customer", "language"];

export class DeskIdentity extends HTMLElement {
  online = true;
  #person = "";
  #seen = null; // the person of the case, as the server knows him
  #found = null; // somebody who may be the same
  #loading = null;
  #splitting = "";
  #wrong = "";
  #fold = h("details", { ontoggle: () => this.#fold.open && !this.#seen && this.#load() });
  #find = h("input", { autocomplete: "off", dataset: { key: "identity-find" } });
  #reason = h("input", { maxlength: "500", autocomplete: "off", dataset: { key: "identity-reason" } });

  set view(view) {
    if (view.person === this.#person) return;
    this.#person = view.person;
    this.#seen = this.#found = null;
    this.#splitting = this.#wrong = this.#find.value = this.#reason.value = "";
    if (this.#fold.open) this.#load();
    this.render();
  }

  async focusForm() {
    this.#fold.open = true;
    if (!this.#seen) await this.#load();
    this.#find.focus();
  }

  #load() {
    const person = this.#person;
    this.#loading ??= this.#try(async () => {
      const seen = await get(`people/${encodeURIComponent(person)}`);
      if (person === this.#person) this.#seen = seen;
    }).finally(() => (this.#loading = null));
    return this.#loading;
  }

  async #try(work) {
    this.#wrong = "";
    try {
      await work();
    } catch (refusal) {
      this.#wrong = refusalWords(refusal);
    }
    this.render();
  }

  render() {
    if (!this.#person) {
      this.replaceChildren();
      return;
    }
    replaceInside(
      this.#fold,
      h("summary", { dataset: { key: "identity" } }, t("desk.identity")),
      this.#wrong ? h("p", { class: "bad", role: "alert" }, icon("warning"), this.#wrong) : null,
      this.#seen ? [this.#who(), this.#others(), this.#search(), this.#candidate()] : this.#wrong ? null : h("p", { class: "quiet" }, t("desk.loading")),
    );
    if (this.#fold.parentNode !== this) this.replaceChildren(this.#fold);
  }

  #who() {
    return h("ul", { class: "plain-list known" }, this.#seen.identities.map((one) => h("li", {}, h("span", {}, address(one)), h("span", { class: "quiet" }, tOr(`identity.${one.level}`, one.level)))));
  }

  /** Who was made one with him, what is in conflict, and the way back. */
  #others() {
    const { id, people, names, conflicts, changes } = this.#seen;
    if (people.length < 2) return null;
    const since = (person) => changes.findLast((change) => change.kind === "merged" && change.person === person);
    return [
      h("h3", {}, t("desk.identity.merged")),
      h(
        "ul",
        { class: "plain-list" },
        people
          .filter((person) => person !== id)
          .map((person) =>
            h(
              "li",
              {},
              icon("person"),
              h("span", {}, names[person] || t("desk.name.unknown"), " ", why(since(person))),
              h("button", { class: "small", disabled: !this.online, "aria-expanded": String(this.#splitting === person), dataset: { key: `split-${person}` }, onclick: () => this.#ask(person) }, t("desk.identity.split")),
            ),
          ),
      ),
      this.#splitting ? this.#because("desk.identity.split.reason", "desk.identity.split.do", () => this.#change("split", { person: this.#splitting })) : null,
      conflictList(conflicts.map(({ field, values }) => [field, Object.values(values)])),
    ];
  }

  #ask(person) {
    this.#splitting = this.#splitting === person ? "" : person;
    this.#found = null;
    this.#reason.value = "";
    this.render();
    if (this.#splitting) this.#reason.focus();
  }

  #search() {
    return h(
      "form",
      {
        class: "stacked",
        onsubmit: (event) => {
          event.preventDefault();
          this.#look();
        },
      },
      h("label", {}, t("desk.identity.find"), this.#find),
      h("button", { disabled: !this.online, dataset: { key: "identity-look" } }, t("desk.identity.look")),
    );
  }

  async #look() {
    const name = this.#find.value.trim();
    if (!name) return this.#find.focus();
    this.#splitting = "";
    this.#found = null;
    await this.#try(async () => {
      const found = await post("people/find", { name });
      if (this.#seen.people.includes(found.id)) this.#wrong = t("refused.same");
      else this.#found = found;
    });
    if (this.#found) this.#reason.focus();
  }

  /** Somebody who was found, with what would stand side by side. */
  #candidate() {
    const found = this.#found;
    if (!found) return null;
    const differs = FIELDS.map((field) => [field, [this.#seen[field], found[field]].filter(Boolean)]).filter(([, values]) => new Set(values.map((value) => value.trim().toLowerCase())).size > 1);
    return [
      h(
        "div",
        { class: "found" },
        h("p", { class: "big" }, icon("person"), found.name || t("desk.name.unknown")),
        h("ul", { class: "plain-list" }, found.identities.map((one) => h("li", {}, address(one)))),
        h("p", { class: "quiet" }, t("desk.identity.cases", { n: found.cases.length, open: found.open_cases })),
        conflictList(differs),
      ),
      this.#because("desk.identity.reason", "desk.identity.merge", () => this.#change("merge", { person: found.id, into: this.#seen.id })),
    ];
  }

  #because(words, button, act) {
    return h(
      "form",
      {
        class: "stacked",
        onsubmit: (event) => {
          event.preventDefault();
          act();
        },
      },
      h("label", {}, t(words), this.#reason),
      h("button", { class: "primary", disabled: !this.online, dataset: { key: "identity-do" } }, t(button)),
    );
  }

  async #change(action, body) {
    const reason = this.#reason.value.trim();
    if (!reason) {
      this.#wrong = t("refused.reason");
      this.render();
      return this.#reason.focus();
    }
    await this.#try(async () => {
      await post(`people/${action}`, { ...body, reason });
      this.#found = null;
      this.#splitting = this.#find.value = this.#reason.value = "";
      this.#seen = await get(`people/${encodeURIComponent(this.#person)}`);
      this.dispatchEvent(new CustomEvent("said", { detail: t(`desk.said.${action}`), bubbles: true }));
    });
    if (!this.#wrong) this.querySelector("summary").focus();
  }
}

function address({ kind, address: where }) {
  return kind === "chat" ? t("desk.route.chat") : where.replaceAll("\n", ", ");
}

function why(change) {
  return change ? h("span", { class: "quiet" }, t("desk.identity.why", { actor: colleagueName(change.actor), day: formatDay(change.at), reason: change.reason })) : null;
}

function conflictList(found) {
  if (!found.length) return null;
  const words = (field, value) => (field === "language" ? languageName(value) : value);
  return h(
    "ul",
    { class: "conflicts" },
    found.map(([field, values]) => h("li", { class: "warn" }, icon("warning"), h("span", {}, t("desk.identity.conflict", { field: t(`identity.field.${field}`), values: values.map((value) => words(field, value)).join(" / ") })))),
  );
}

customElements.define("desk-identity", DeskIdentity);
