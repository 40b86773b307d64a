// Canonical JSON, base64url and digests: byte for byte what actors/orbital writes (canon.rs, sign.rs). tests/foreign/portal.test.mjs holds
// both against the same vectors.

/** Largest signed statement, in bytes, and its deepest nesting. */
export const STATEMENT_BYTES_MAX = 256 * 1024;
export const DEPTH_MAX = 16;

/** Bytes that are not what they claim to be: nothing of them is shown as if it were, and nobody signs them. */
export class Malformed extends Error {}

const utf8 = new TextEncoder();
const text8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** RFC 8785, narrowed to objects, arrays, texts and booleans. */
export function write(value) {
  const bytes = utf8.encode(put(value, 0));
  if (bytes.length > STATEMENT_BYTES_MAX) throw new Malformed(`a statement has at most ${STATEMENT_BYTES_MAX} bytes`);
  return bytes;
}

function put(value, depth) {
  if (depth > DEPTH_MAX) throw new Malformed(`a statement is nested at most ${DEPTH_MAX} deep`);
  if (typeof value === "string") return text(value);
  if (typeof value === "boolean") return String(value);
  if (Array.isArray(value)) return `[${value.map((item) => put(item, depth + 1)).join(",")}]`;
  if (typeof value === "object" && value !== null) {
    // The default order of texts is by UTF-16 code units, which is RFC 8785's.
    const members = Object.keys(value).sort().map((name) => `${text(name)}:${put(value[name], depth + 1)}`);
    return `{${members.join(",")}}`;
  }
  throw new Malformed("numbers and null cannot stand in a statement");
}

// ECMAScript's own spelling is the one that RFC 8785 §3.2.2.2 takes.
function text(value) {
  if (/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(value)) throw new Malformed("a text holds half a character");
  return JSON.stringify(value);
}

/** Reads a statement, and demands that writing it again gives the same bytes: no second reader can see another one in them. */
export function read(bytes) {
  let value;
  try {
    value = JSON.parse(text8.decode(bytes));
  } catch (why) {
    throw new Malformed(`the statement does not read: ${why.message}`);
  }
  if (!same(write(value), bytes)) throw new Malformed("the statement is not in canonical form (RFC 8785)");
  return value;
}

export function same(one, other) {
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}

/** SHA-256 of "openkcm/" kind "/v1" 0x00 bytes. */
export async function digest(kind, bytes) {
  const domain = utf8.encode(`openkcm/${kind}/v1\0`);
  const all = new Uint8Array(domain.length + bytes.length);
  all.set(domain);
  all.set(bytes, domain.length);
  return sha256(all);
}

export async function sha256(bytes) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}

/** base64url without padding (RFC 4648 §5). */
export function toText(bytes) {
  const binary = Array.from(new Uint8Array(bytes), (byte) => String.fromCharCode(byte)).join("");
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** Its reverse. One spelling alone is read. */
export function fromText(value) {
  if (typeof value !== "string" || !/^[A-Za-z0-9_-]*$/.test(value)) throw new Malformed("this is not base64url");
  let binary;
  try {
    binary = atob(value.replaceAll("-", "+").replaceAll("_", "/"));
  } catch {
    throw new Malformed("this is not base64url");
  }
  const bytes = Uint8Array.from(binary, (c) => c.charCodeAt(0));
  if (toText(bytes) !== value) throw new Malformed("this is not base64url as it is written here");
  return bytes;
}
