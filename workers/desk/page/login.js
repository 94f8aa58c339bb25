// Posts the token of the login link. Looking at the page does not use the link up; only a person's page does.

import { preferredLanguage, t, useLanguage } from "/assets/i18n.js";

const words = document.querySelector("#words");
const form = document.querySelector("#sign-in");
const token = new URLSearchParams(location.search).get("token");
const problem = new URLSearchParams(location.search).get("problem");

await useLanguage(preferredLanguage());
document.title = t("desk.title");
form.querySelector("button").textContent = t("login.open");

if (token && !problem) {
  words.textContent = t("login.ready");
  form.elements.token.value = token;
  form.hidden = false;
  // A page that the browser loads ahead of any wish must not sign in.
  const submit = () => form.requestSubmit();
  if (document.prerendering) document.addEventListener("prerenderingchange", submit, { once: true });
  else if (document.visibilityState === "visible") submit();
} else {
  words.textContent = t(problem === "used" ? "login.used" : "login.missing");
  document.querySelector("#command").hidden = false;
}
