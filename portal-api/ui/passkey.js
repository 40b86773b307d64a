// Passkeys (W3C Web Authentication Level 3): make one, and sign a statement's digest with one. What comes out has the project's own form.

import { digest, fromText, toText } from "./canon.js";

/** Something about passkeys that the person can mend. */
export class Unsigned extends Error {
  constructor(title, fix) {
    super(title);
    this.fix = fix;
  }
}

/** COSE's numbers of the algorithms (RFC 9053 §2), by the names that a trust root's terms use. */
const COSE = { ES256: -7, EdDSA: -8 };
const TIMEOUT_MS = 120_000;
/** Where this browser remembers which credential holds which public key, so that the right one is asked for. Nothing secret. */
const KNOWN = "kcm.passkeys";

const P256_SPKI_BYTES = 91;
const ED25519_SPKI_BYTES = 44;

/** Why passkeys of these terms cannot be used on this page, or nothing. */
export function barred(terms) {
  if (!terms) return new Unsigned("This tenant has no passkey terms.", "Sign with a key file: kcm proposal approve. Terms are a change of people: kcm actor passkeys.");
  if (!globalThis.PublicKeyCredential) return new Unsigned("This browser has no passkeys.", "Use another browser, or sign with a key file: kcm proposal approve.");
  if (!terms.origins.includes(location.origin)) {
    return new Unsigned(`The tenant's passkeys sign at ${terms.origins.join(", ") || "no place"}, and this page is at ${location.origin}.`, "Open the portal under an address that the tenant's terms name.");
  }
  return null;
}

/** A new passkey: its public key in our form, and the text of its credential's id. */
export async function make(terms, name) {
  const made = await asked(() =>
    navigator.credentials.create({
      publicKey: {
        rp: { id: terms.rp_id, name: "OpenKCM portal" },
        // A fresh handle: one that is there already would be replaced on the authenticator, though a trust root may still count on it.
        user: { id: crypto.getRandomValues(new Uint8Array(32)), name, displayName: name },
        challenge: crypto.getRandomValues(new Uint8Array(32)),
        pubKeyCredParams: Object.entries(COSE).filter(([known]) => terms.algorithms.includes(known)).map(([, alg]) => ({ type: "public-key", alg })),
        authenticatorSelection: { residentKey: "required", requireResidentKey: true, userVerification: "preferred" },
        attestation: "none",
        timeout: TIMEOUT_MS,
      },
    }),
  );
  const spki = made.response.getPublicKey?.();
  if (!spki) throw new Unsigned("The browser does not tell the new passkey's public key.", "Use another browser.");
  const publicKey = toText(compact(new Uint8Array(spki)));
  remember(publicKey, toText(made.rawId));
  return publicKey;
}

/** A person's key from a SubjectPublicKeyInfo (RFC 5480, RFC 8410): 33 bytes of a compressed point of P-256, or 32 of Ed25519. */
export function compact(spki) {
  if (spki.length === ED25519_SPKI_BYTES) return spki.slice(-32);
  const point = spki.slice(-65);
  if (spki.length !== P256_SPKI_BYTES || point[0] !== 4) throw new Unsigned("The new passkey has a kind of key that is not known here.", "Make one of ES256 or EdDSA.");
  // SEC 1 §2.3.3: the last bit of y, and x.
  return Uint8Array.of(2 + (point[64] & 1), ...point.slice(1, 33));
}

/** The text of a passkey's signature over a statement for its purpose; `verify` demands PIN or body, not a touch alone. */
export async function sign(terms, publicKey, kind, statement, verify) {
  const known = remembered()[publicKey];
  const made = await asked(async () =>
    navigator.credentials.get({
      publicKey: {
        rpId: terms.rp_id,
        challenge: await digest(kind, statement),
        userVerification: verify ? "required" : "preferred",
        allowCredentials: known ? [{ type: "public-key", id: fromText(known) }] : [],
        timeout: TIMEOUT_MS,
      },
    }),
  );
  const { authenticatorData, clientDataJSON, signature } = made.response;
  return ["webauthn", ...[authenticatorData, clientDataJSON, signature].map(toText)].join(".");
}

async function asked(ask) {
  try {
    return await ask();
  } catch (why) {
    if (why.name === "NotAllowedError") {
      throw new Unsigned("The passkey did not sign: it was refused, took too long, is not on this device, or could not verify you where the rule demands it.", "Try again with the device that holds the passkey, and unlock it by PIN or body.");
    }
    if (why.name === "SecurityError") throw new Unsigned("The browser does not let this page use passkeys of the tenant's domain.", "Open the portal under an address that the tenant's terms name, without certificate warnings.");
    throw new Unsigned(`The passkey did not sign: ${why.message}`, "Try again, or use another passkey.");
  }
}

function remembered() {
  try {
    return JSON.parse(localStorage.getItem(KNOWN) ?? "{}") ?? {};
  } catch {
    return {};
  }
}

function remember(publicKey, id) {
  try {
    localStorage.setItem(KNOWN, JSON.stringify({ ...remembered(), [publicKey]: id }));
  } catch {
    // Without storage the browser asks which passkey it is.
  }
}
