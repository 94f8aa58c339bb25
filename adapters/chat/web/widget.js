// contactbus chat: one script tag puts a launcher on the page. The chat itself lives in a frame of its own origin,
// made when it is first opened, so the page's scripts and styles do not reach it.
(() => {
  const script = document.currentScript;
  const base = new URL(script.src).origin;
  const WORDS = {
    de: ["Chat öffnen", "Chat schließen", "Chat", "eine neue Nachricht", "{n} neue Nachrichten"],
    nb: ["Åpne chat", "Lukk chat", "Chat", "én ny melding", "{n} nye meldinger"],
    en: ["Open chat", "Close chat", "Chat", "one new message", "{n} new messages"],
  };
  const STYLE = `
    :host { --a: var(--contactbus-accent, #0a5f6b); position: fixed; right: 20px; bottom: 20px; z-index: 2147483000;
      font: 16px/1.4 system-ui, sans-serif }
    button { display: flex; align-items: center; gap: 8px; min-height: 52px; padding: 0 20px 0 16px; border: 0;
      border-radius: 26px; background: var(--a); color: #fff; font: inherit; font-weight: 600; cursor: pointer;
      box-shadow: 0 4px 16px rgb(10 25 22 / 25%) }
    button:focus-visible { outline: 3px solid #fff; box-shadow: 0 0 0 6px var(--a) }
    svg { width: 24px; height: 24px; fill: none; stroke: currentcolor; stroke-width: 1.75; stroke-linejoin: round }
    b { min-width: 22px; padding: 1px 6px; border-radius: 11px; background: #fff; color: #17211f; font-size: 13px }
    iframe { position: fixed; right: 20px; bottom: 84px; width: 380px; height: min(560px, calc(100vh - 104px)); border: 0;
      border-radius: 14px; background: Canvas; box-shadow: 0 8px 40px rgb(10 25 22 / 30%) }
    [hidden] { display: none }
    @media (max-width: 480px) { iframe { inset: 0; width: 100%; height: 100%; border-radius: 0 } }`;

  class Launcher extends HTMLElement {
    #frame = null;
    #open = false;
    #unread = 0;
    #identity = "";

    connectedCallback() {
      const root = this.attachShadow({ mode: "open" });
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(STYLE);
      root.adoptedStyleSheets = [sheet];
      const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
      svg.setAttribute("viewBox", "0 0 24 24");
      svg.setAttribute("aria-hidden", "true");
      path.setAttribute("d", "M4 5h16v11H11l-4.500 4V16H4ZM8 9.200h8M8 12.200h5");
      svg.append(path);
      this.button = document.createElement("button");
      this.text = document.createElement("span");
      this.badge = document.createElement("b");
      this.button.append(svg, this.text, this.badge);
      this.button.addEventListener("click", () => (this.#open ? this.close() : this.open()));
      this.addEventListener("keydown", (event) => event.key === "Escape" && this.#open && this.close());
      addEventListener("message", (event) => this.#hear(event));
      root.append(this.button);
      this.#label();
    }

    get #language() {
      const wish = (this.dataset.lang || document.documentElement.lang || navigator.language).slice(0, 2);
      return wish in WORDS ? wish : wish === "nn" || wish === "no" ? "nb" : "en";
    }

    open() {
      this.#open = true;
      if (!this.#frame) {
        const query = new URLSearchParams({ lang: this.#language, title: this.dataset.title || "" });
        this.#frame = document.createElement("iframe");
        this.#frame.src = `${base}/chat/frame?${query}`;
        this.shadowRoot.prepend(this.#frame);
      }
      this.#frame.hidden = false;
      this.#frame.focus();
      this.#label();
      this.#tell({ open: true });
    }

    close() {
      this.#open = false;
      if (this.#frame) this.#frame.hidden = true;
      this.#label();
      this.#tell({ open: false });
      this.button.focus();
    }

    /** Say who is logged in, with a token that the site's server signed. */
    identify(token) {
      this.#identity = token;
      this.#tell({ identity: token });
    }

    setLanguage(language) {
      this.dataset.lang = language;
      this.#label();
      this.#tell({ language: this.#language });
    }

    #tell(message) {
      this.#frame?.contentWindow?.postMessage({ contactbus: message }, base);
    }

    #hear(event) {
      const said = event.source && event.source === this.#frame?.contentWindow && event.data?.contactbus;
      if (!said) return;
      if (said.ready) this.#tell({ open: this.#open, identity: this.#identity });
      if (said.close) this.close();
      if ("unread" in said) this.#unread = said.unread;
      this.#label();
      this.dispatchEvent(new CustomEvent("contactbus", { detail: said }));
    }

    #label() {
      const [open, close, name, one, many] = WORDS[this.#language];
      const unread = this.#unread ? (this.#unread === 1 ? one : many.replace("{n}", this.#unread)) : "";
      this.text.textContent = name;
      this.badge.textContent = this.#unread || "";
      this.badge.hidden = !this.#unread;
      this.button.setAttribute("aria-label", (this.#open ? close : open) + (unread && `, ${unread}`));
      this.button.setAttribute("aria-expanded", this.#open);
      if (this.#frame) this.#frame.title = this.dataset.title || name;
    }
  }

  if (customElements.get("contactbus-chat")) return;
  customElements.define("contactbus-chat", Launcher);
  const chat = document.createElement("contactbus-chat");
  Object.assign(chat.dataset, script.dataset);
  const add = () => document.body.append(chat);
  document.body ? add() : addEventListener("DOMContentLoaded", add);
  /** For the site's own scripts: open, close, identify(jwt), setLanguage(lang), on(listener). */
  window.contactbusChat = {
    open: () => chat.open(),
    close: () => chat.close(),
    identify: (token) => chat.identify(token),
    setLanguage: (language) => chat.setLanguage(language),
    on: (listener) => chat.addEventListener("contactbus", (event) => listener(event.detail)),
  };
})();
