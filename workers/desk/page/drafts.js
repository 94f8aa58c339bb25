// What somebody has begun to write is never lost: it lies at the server, for whatever machine he goes on at, and on this
// machine as long as the server has not said yes.

import { post } from "./api.js";

const PAUSE_MS = 700; // a pause in the typing is when it is kept

const key = (tenant, caseId, mode) => `contactbus.draft.${tenant}.${caseId}.${mode}`;

/** The drafts of one case. `said` is called with how safe the newest text is: keeping, kept, local. */
export class CaseDrafts {
  #tenant;
  #case;
  #texts;
  #said;
  #timers = {};
  #saving = Promise.resolve();

  constructor(tenant, view, said) {
    this.#tenant = tenant;
    this.#case = view.row.id;
    this.#texts = Object.fromEntries(Object.entries(view.drafts).map(([mode, draft]) => [mode, draft.text]));
    this.#said = said;
    for (const mode of ["reply", "note"]) {
      const local = this.#local(mode);
      // What the server has not got is newer than what it has.
      if (local && local !== this.#texts[mode]) this.keep(mode, local);
    }
  }

  read(mode) {
    return this.#texts[mode] || "";
  }

  keep(mode, text) {
    if (text === this.read(mode)) return;
    this.#texts[mode] = text;
    this.#local(mode, text);
    clearTimeout(this.#timers[mode]);
    this.#timers[mode] = setTimeout(() => this.#save(mode), PAUSE_MS);
    this.#said(text ? "keeping" : "");
  }

  /** Nothing that was typed may arrive after the reply has gone: wait for what is on its way, and forget the rest. */
  async settle(mode) {
    clearTimeout(this.#timers[mode]);
    await this.#saving;
  }

  /** The text has been sent; with the reply the server has dropped its copy. */
  sent(mode) {
    clearTimeout(this.#timers[mode]);
    this.#texts[mode] = "";
    this.#local(mode, "");
    this.#said("");
  }

  #save(mode) {
    const text = this.read(mode);
    this.#saving = this.#saving.then(async () => {
      try {
        await post(`cases/${encodeURIComponent(this.#case)}/draft`, { mode, text }, { keepalive: true });
        if (this.read(mode) !== text) return;
        this.#local(mode, "");
        this.#said(text ? "kept" : "");
      } catch {
        this.#said("local");
      }
    });
  }

  #local(mode, text) {
    const name = key(this.#tenant, this.#case, mode);
    try {
      if (text === undefined) return localStorage.getItem(name) || "";
      if (text) localStorage.setItem(name, text);
      else localStorage.removeItem(name);
    } catch {
      // storage may be full or forbidden; the text is still in the field and soon at the server
    }
    return text || "";
  }
}
