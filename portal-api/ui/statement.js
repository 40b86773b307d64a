// The statements that people sign (actors/orbital: vote.rs, enrol.rs), and whether a proposal is what it says. Nothing here touches the page.

import { Malformed, digest, fromText, read, toText, write } from "./canon.js";

/** A proposal that is not what it says: it is shown as such and cannot be signed. */
export class Refused extends Error {}

const NONCE_BYTES = 16;
/** The members of a proposal's statement, and no other. */
const PROPOSED = ["change", "deployment", "domain", "epoch", "expires", "key", "kind", "nonce", "origin", "person", "policy", "tenant", "trust", "trust_version"];
/** What vote and change must say alike. */
const ALIKE = ["deployment", "tenant", "trust_version", "epoch"];

const domain = (kind) => `openkcm/${kind}/v1`;

/** 16 random bytes, base64url. */
export function nonce() {
  return toText(crypto.getRandomValues(new Uint8Array(NONCE_BYTES)));
}

/** The proposer's statement. */
export function proposed(statement) {
  const vote = read(statement);
  const members = Object.keys(vote ?? {}).sort();
  const plain = members.every((name) => typeof vote[name] === "string");
  if (!plain || members.join() !== PROPOSED.join() || vote.domain !== domain("propose")) {
    throw new Malformed("this is not the statement of a proposal");
  }
  return vote;
}

/** The bytes that `signer` ({person, key, origin, nonce}) signs to answer a proposal: the same in everything but the signer's own members. */
export async function answer(role, statement, signer) {
  const { person, key, origin, nonce } = signer;
  const proposal = toText(await digest("propose", statement));
  return write({ ...proposed(statement), domain: domain(role), person, key, origin, nonce, proposal });
}

/** The bytes of a change that stops a tenant in all of its regions. `tenant` is governance's view of it. */
export function stop(kind, tenant, reason, nonce) {
  const { deployment, id, trust_version, epoch, trust_root } = tenant;
  const regions = Object.keys(trust_root.regions).sort();
  const action = { kind };
  return write({ domain: domain("change"), deployment, tenant: id, trust_version: `${trust_version}`, epoch: `${epoch}`, regions, reason, nonce, action });
}

/** The bytes that `signer` signs to propose a change, whose approvals are collected until `expires`: Unix seconds. */
export async function propose(bytes, trust, expires, signer) {
  const { deployment, tenant, trust_version, epoch, action } = read(bytes);
  const { person, key, origin, nonce } = signer;
  const [change, root] = [toText(await digest("change", bytes)), toText(await digest("trust", write(trust)))];
  const { kind } = action;
  return write({ domain: domain("propose"), deployment, tenant, change, kind, trust_version, trust: root, policy: trust.policy, epoch, expires: `${expires}`, nonce, origin, person, key });
}

/** The bytes that a new key signs to say whose it is. */
export function enrolment(tenant, person, algorithm, publicKey) {
  return write({ domain: domain("enrol"), tenant, person, algorithm, public: publicKey });
}

/**
 * Reads a proposal from the bytes that are signed, and refuses it where anything else that was said about it differs. `tenant` is
 * governance's view of its tenant; the trust root in it counts only if its digest is the one that the proposer signed.
 */
export async function examine(view, tenant) {
  try {
    return await examined(view, tenant);
  } catch (why) {
    if (why instanceof Malformed) throw new Refused(why.message);
    throw why;
  }
}

async function examined(view, tenant) {
  const bytes = fromText(view.change_bytes);
  const statement = fromText(view.proposal?.statement);
  const [change, vote] = [read(bytes), proposed(statement)];
  const found = toText(await digest("change", bytes));
  const must = (holds, why) => {
    if (!holds) throw new Refused(why);
  };
  must(change.domain === domain("change"), "the bytes are not those of a change");
  must(found === view.digest, `the bytes of the change give the digest ${found}, not the one shown`);
  must(found === vote.change, "the proposer signed another change than the one shown");
  must(vote.kind === change.action?.kind && vote.kind === view.kind, "the proposer signed another kind of change than the one shown");
  for (const name of ALIKE) must(vote[name] === change[name], `the proposer's statement and the change differ in ${name}`);
  must(change.tenant === view.tenant && change.tenant === tenant.id, "it is for another tenant than the one shown");
  must(vote.person === view.proposer, "another person proposed it than the one shown");
  const trust = await rootOf(tenant, vote);
  must(trust !== null, `it was made under a trust root (version ${vote.trust_version}) that is not in the tenant's chain`);
  must(trust.policy === vote.policy, "it names another policy than the trust root that it was made under");
  const { evidence } = view;
  const named = evidence === undefined ? undefined : toText(await digest("evidence", new TextEncoder().encode(evidence)));
  must(named === change.evidence, "what the proposer was shown besides is not what the change names by its digest");
  const bundle = change.action.bundle;
  if (bundle !== undefined) must(toText(await digest("policy", fromText(bundle))) === change.action.next.policy, "the policies are not those that the next trust root names");
  return { bytes, statement, change, vote, trust, evidence, digest: found };
}

/** The trust root that a vote names, by its digest. */
async function rootOf(tenant, vote) {
  for (const bytes of roots(tenant)) {
    if (toText(await digest("trust", bytes)) === vote.trust) {
      const root = read(bytes);
      return root.version === vote.trust_version ? root : null;
    }
  }
  return null;
}

/** Every version, the newest first. */
function* roots(tenant) {
  yield fromText(tenant.trust_bytes);
  for (const link of [...tenant.links].reverse()) {
    const next = read(fromText(link.change)).action?.next;
    if (next) yield write(next);
  }
  yield fromText(tenant.genesis.root);
}

/** A person's passkeys in a trust root, by name. */
export function passkeys(root, person) {
  const keys = Object.entries(root.actors[person]?.keys ?? {});
  return keys.filter(([, key]) => key.algorithm === "webauthn").map(([name, key]) => ({ name, public: key.public }));
}

/** Whether some rule that this proposal has to meet asks that the person is verified, not only present. */
export function mustVerify(view, root, change) {
  const kinds = new Set([view.kind, ...(view.quorum?.unmet ?? []).flatMap((rule) => rule.kinds)]);
  if (view.kind === "RestoreL1") kinds.add("RevokeL1");
  const rules = [root.rules, change.action.next?.rules ?? {}];
  return [...kinds].some((kind) => rules.some((of) => of[kind]?.verify === "user"));
}
