// Requests of the desk. Every change carries a header that a foreign page cannot set.

export class Refusal extends Error {
  constructor(status, code, detail) {
    super(code);
    this.status = status;
    this.code = code;
    this.detail = detail;
  }
}

async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(`/desk/api/${path}`, { credentials: "same-origin", ...options });
  } catch {
    throw new Refusal(0, "offline", {});
  }
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refusal(response.status, body.error || "trouble", body);
  return body;
}

export const get = (path) => request(path);

export const post = (path, body, options = {}) =>
  request(path, {
    ...options,
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Contactbus-Desk": "1" },
    body: JSON.stringify(body),
  });
