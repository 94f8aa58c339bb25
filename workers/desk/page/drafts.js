// What somebody has begun to write is never lost: it lies on this machine until it is sent.

const key = (tenant, caseId, mode) => `contactbus.draft.${tenant}.${caseId}.${mode}`;

export function readDraft(tenant, caseId, mode) {
  try {
    return localStorage.getItem(key(tenant, caseId, mode)) || "";
  } catch {
    return "";
  }
}

export function keepDraft(tenant, caseId, mode, text) {
  try {
    if (text) localStorage.setItem(key(tenant, caseId, mode), text);
    else localStorage.removeItem(key(tenant, caseId, mode));
  } catch {
    // storage may be full or forbidden; the text is still in the field
  }
}
