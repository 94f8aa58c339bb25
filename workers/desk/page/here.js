// Who else is at a case. This page says what it shows and whether something is being written; the feed tells of others.

import { post } from "./api.js";

const STILL_WRITING_MS = 8_000; // after that long without a key somebody is reading or thinking

export class Here {
  /** A name of this page's own making, under which its live connection keeps it present. */
  page = crypto.randomUUID?.() ?? `${Date.now()}-${Math.random().toString(36).slice(2)}`;
  #people = new Map();
  #case = "";
  #writing = false;
  #told = "";
  #timer = 0;
  #changed;

  /** `changed` is called with the case whose people are others now. */
  constructor(changed) {
    this.#changed = changed;
    document.addEventListener("visibilitychange", () => this.#tell());
    addEventListener("pagehide", () => this.#send("", false));
  }

  /** Others at a case: [{person, writing}]. */
  at(caseId) {
    return this.#people.get(caseId) || [];
  }

  heard({ case: caseId, people }) {
    this.#people.set(caseId, people);
    this.#changed(caseId);
  }

  /** After a break nothing is known until the feed tells anew, and others know nothing of this page. */
  again() {
    this.#people.clear();
    this.#told = "";
    this.#tell();
  }

  open(caseId) {
    if (caseId !== this.#case) this.#writing = false;
    this.#case = caseId;
    this.#tell();
  }

  writes() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.rests(), STILL_WRITING_MS);
    this.#writing = true;
    this.#tell();
  }

  rests() {
    clearTimeout(this.#timer);
    this.#writing = false;
    this.#tell();
  }

  #tell() {
    const looking = document.visibilityState === "visible";
    this.#send(looking ? this.#case : "", looking && this.#writing);
  }

  #send(caseId, writing) {
    const said = `${caseId} ${writing}`;
    if (said === this.#told || (!caseId && !this.#told)) return;
    this.#told = said;
    post("here", { page: this.page, case: caseId, writing }, { keepalive: true }).catch(() => (this.#told = ""));
  }
}
