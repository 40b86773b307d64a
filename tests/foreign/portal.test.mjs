// What the portal's page composes and checks in a browser, against vectors of the Rust code: node --test, in a folder where the page's
// modules and vectors.json lie beside it (tests/tests/foreign_portal.rs).

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

globalThis.crypto ??= (await import("node:crypto")).webcrypto;

const { Malformed, digest, fromText, read, toText, write } = await import("./canon.js");
const { Refused, answer, enrolment, examine, mustVerify, propose, stop } = await import("./statement.js");
const { compact } = await import("./passkey.js");
const { sentences, understood } = await import("./plain.js");

const vectors = JSON.parse(readFileSync(new URL("./vectors.json", import.meta.url), "utf8"));
const clone = (value) => JSON.parse(JSON.stringify(value));

test("canonical JSON is written and read as in Rust", () => {
  for (const { value, bytes } of vectors.canonical) {
    assert.equal(toText(write(value)), bytes);
    assert.deepEqual(read(fromText(bytes)), value);
  }
  for (const bytes of vectors.not_canonical) assert.throws(() => read(fromText(bytes)), Malformed, bytes);
  for (const value of [1, null, undefined, { a: 1 }, [null], "\ud800"]) assert.throws(() => write(value), Malformed);
  assert.throws(() => write([[[[[[[[[[[[[[[[[["deep"]]]]]]]]]]]]]]]]]]), Malformed);
  assert.throws(() => write("x".repeat(256 * 1024)), Malformed);
});

test("base64url has one spelling", () => {
  assert.deepEqual(fromText("_wA"), Uint8Array.of(255, 0));
  for (const bad of ["_wA=", "_wB", "/wA", "_", "_w A", 5]) assert.throws(() => fromText(bad), Malformed, String(bad));
});

test("digests are those of Rust", async () => {
  for (const { kind, bytes, found } of vectors.digests) assert.equal(toText(await digest(kind, fromText(bytes))), found, kind);
});

test("the statements are those that Rust composes", async () => {
  for (const { role, proposal, signer, statement } of vectors.answers) assert.equal(toText(await answer(role, fromText(proposal), signer)), statement, role);
  for (const { kind, tenant, reason, nonce, trust, expires, signer, bytes, statement } of vectors.stops) {
    assert.equal(toText(stop(kind, tenant, reason, nonce)), bytes);
    assert.equal(toText(await propose(fromText(bytes), trust, expires, signer)), statement);
  }
  const { tenant, person, algorithm, public: key, statement } = vectors.enrolment;
  assert.equal(toText(enrolment(tenant, person, algorithm, key)), statement);
  await assert.rejects(answer("approve", fromText(vectors.answers[0].statement), vectors.answers[0].signer), Malformed, "an answer is no proposal");
});

test("public keys take the project's form", () => {
  for (const { spki, key } of vectors.keys) assert.equal(toText(compact(fromText(spki))), key);
  assert.throws(() => compact(new Uint8Array(91)));
});

test("a proposal that is what it says is read, and each lie about it is refused", async () => {
  for (const { view, tenant, says } of vectors.proposals) {
    const read = await examine(view, tenant);
    assert.ok(understood(read.change.action.kind));
    const text = (await sentences(read)).join("\n");
    for (const words of says) assert.ok(text.includes(words), `${words} in ${text}`);
    for (const [what, lie] of LIES) {
      const [told, of] = [clone(view), clone(tenant)];
      await lie(told, of);
      await assert.rejects(examine(told, of), Refused, what);
    }
  }
});

/** The bytes of a statement with a member that says something else, canonical all the same. */
const altered = (text, alter) => {
  const value = read(fromText(text));
  alter(value);
  return toText(write(value));
};
/** A lie in the change that everything else goes along with. */
const coherent = (alter, vote = () => {}) => async (view) => {
  view.change_bytes = altered(view.change_bytes, alter);
  view.digest = toText(await digest("change", fromText(view.change_bytes)));
  view.proposal.statement = altered(view.proposal.statement, (said) => {
    said.change = view.digest;
    vote(said);
  });
};
const LIES = [
  ["a change of another domain", coherent((change) => (change.domain = "openkcm/approve/v1"))],
  ["evidence that the change does not name", (view) => (view.evidence = `${view.evidence ?? ""}.`)],
  ["another version of the trust root", coherent((change) => (change.trust_version = "9"), (vote) => (vote.trust_version = "9"))],
  ["other bytes", (view) => (view.change_bytes = altered(view.change_bytes, (change) => (change.reason = "other")))],
  ["a byte that is not canonical", (view) => (view.change_bytes = toText(Uint8Array.of(...fromText(view.change_bytes), 32)))],
  ["another digest", (view) => (view.digest = toText(new Uint8Array(32)))],
  ["another kind", (view) => (view.kind = "ResumeL1")],
  ["another proposer", (view) => (view.proposer = "mallory")],
  ["another tenant", (view) => (view.tenant = toText(new Uint8Array(32)))],
  ["a tenant of another id", (view, tenant) => (tenant.id = toText(new Uint8Array(32)))],
  ["a proposal for another change", (view) => (view.proposal.statement = altered(view.proposal.statement, (vote) => (vote.change = toText(new Uint8Array(32)))))],
  ["a proposal of another epoch", (view) => (view.proposal.statement = altered(view.proposal.statement, (vote) => (vote.epoch = "99")))],
  ["a proposal with a member more", (view) => (view.proposal.statement = altered(view.proposal.statement, (vote) => (vote.more = "x")))],
  ["a proposal under another policy", (view) => (view.proposal.statement = altered(view.proposal.statement, (vote) => (vote.policy = toText(new Uint8Array(32)))))],
  ["another trust root", (view, tenant) => (tenant.trust_bytes = tenant.genesis.root = altered(tenant.trust_bytes, (root) => (root.systems = ["others"])))],
];

test("policies that the next trust root does not name are refused", async () => {
  const { view, tenant } = vectors.proposals.find(({ view }) => view.kind === "ChangePolicy");
  const told = clone(view);
  const other = (bundle) => (bundle.policies = "permit (principal, action, resource);");
  await coherent((change) => (change.action.bundle = altered(change.action.bundle, other)))(told);
  await assert.rejects(examine(told, tenant), Refused);
});

test("user verification is demanded where a rule of the change says so", () => {
  const rules = { RegisterSystem: { verify: "user" }, RevokeL1: { verify: "user" }, LinkL1: { verify: "key" } };
  const of = (kind, unmet = [], next = undefined) => mustVerify({ kind, quorum: { unmet } }, { rules }, { action: { next } });
  assert.ok(of("RegisterSystem"));
  assert.ok(!of("LinkL1"));
  assert.ok(of("RestoreL1"), "lifting a kill includes what setting it took");
  assert.ok(of("ChangeQuorum", [{ kinds: ["ChangeQuorum", "RegisterSystem"] }]));
  assert.ok(of("LinkL1", [], { rules: { LinkL1: { verify: "user" } } }));
});
