// The portal's REST interface (openapi.json): who is here, and calls that say what went wrong.

/** An answer that is none: what, why and what to do, as problem+json says it (RFC 9457). */
export class Problem extends Error {
  constructor({ status = 0, title = "It did not work", detail = "", fix = "", code = "" }) {
    super(title);
    Object.assign(this, { status, title, detail, fix, code });
  }
}

/** Header that requests which write bring along where a session says so. */
const CSRF = "x-kcm-csrf";

let session = null;

/** Who is here: `null` where somebody has to sign in first. Without sign-in, the client's certificate says who it is. */
export async function whoIsHere() {
  try {
    session = await call("GET", "/v1/session");
  } catch (why) {
    if (why.status === 401) return (session = null);
    if (why.status !== 404) throw why;
    session = { by: "certificate", name: "", csrf: null };
  }
  return session;
}

export async function call(method, path, body = undefined) {
  const headers = { accept: "application/json" };
  if (body !== undefined) headers["content-type"] = "application/json";
  if (method !== "GET" && session?.csrf) headers[CSRF] = session.csrf;
  let response;
  try {
    response = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), cache: "no-store", credentials: "same-origin", redirect: "error" });
  } catch (why) {
    throw new Problem({ title: "Governance does not answer", detail: String(why.message), fix: "Try again. A stop can be handed to the regions without governance: kcm revoke sign, kcm revoke deliver." });
  }
  const text = await response.text();
  let said = {};
  try {
    said = text === "" ? {} : JSON.parse(text);
  } catch {
    throw new Problem({ status: response.status, title: "The answer does not read", detail: `status ${response.status}`, fix: "Load the page anew." });
  }
  if (!response.ok) throw new Problem({ ...said, status: response.status });
  return said;
}

/** All pages of a list, up to so many items. */
export async function list(path, most = 500) {
  const items = [];
  let after = null;
  do {
    const cursor = after === null ? "" : `${path.includes("?") ? "&" : "?"}after=${encodeURIComponent(after)}`;
    const page = await call("GET", path + cursor);
    items.push(...page.items);
    after = page.next ?? null;
  } while (after !== null && items.length < most);
  return items;
}

/** What happens, as it happens. `heard` is called for each event that may matter, `lost` when the stream breaks off, and `heard` again after it. */
export function watch(heard, lost) {
  const source = new EventSource("/v1/events");
  let broken = false;
  source.onopen = () => {
    if (broken) heard(null);
    broken = false;
  };
  source.onerror = () => {
    broken = true;
    lost();
  };
  for (const name of ["missed", "proposal", "acknowledged", "probed", "unconfirmed"]) {
    source.addEventListener(name, (event) => heard(JSON.parse(event.data)));
  }
  return () => source.close();
}
