// Plain sentences for what is about to be signed, made from the very bytes that are signed and from nothing else. The command line says the
// same (node/src/cli/plain.rs).

import { fromText, read, sha256, toText, write } from "./canon.js";

const STAYS = "Keys that clients fetched before stay with those clients until they next ask.";

/** The kinds after which nothing works that worked before. */
export const STOPS = ["RevokeL1", "SuspendL1", "BlockTenant", "TerminateTenant"];
/** What nothing takes back. */
export const FINAL = ["TerminateTenant"];

/** What the change does, under the trust root that it was made under. Each line is a text; those of differences begin with + - or !. */
export async function sentences({ change, trust }) {
  const reason = change.reason === "" ? "No reason is given." : `Reason: “${change.reason}”.`;
  return [
    `Tenant ${trust.name} (${change.tenant}), deployment ${change.deployment}.`,
    ...(await action(change.action, trust)),
    `Regions: ${listed(change.regions)}.`,
    reason,
    `Made under trust version ${change.trust_version}, epoch ${change.epoch}.`,
    ...(change.evidence === undefined ? [] : [`Names what the proposer was shown: ${change.evidence}.`]),
  ];
}

async function action(act, trust) {
  const said = SAID[act.kind];
  if (!said) return [`This page does not know changes of the kind ${act.kind}. Do not sign it here; read it with \`kcm proposal show\`.`];
  return [...said(act, trust), ...(act.next ? await differences(trust, act.next) : []), ...(act.bundle ? policies(act.bundle) : [])];
}

/** Whether every word of a change of this kind is understood here. */
export const understood = (kind) => kind in SAID;

const versions = (act, trust) => `Trust version ${act.next.version} follows ${trust.version}.`;
/** What stands behind the pointer of a file whose content is governed. */
const CONTENT = "/sha256";
const SAID = {
  RevokeL1: () => ["REVOKE: every region locks this tenant at once. Nothing of it can be used until a RestoreL1 is approved.", STAYS],
  RestoreL1: (act) => [`RESTORE: lifts the kills ${listed(act.kills)}, and no other. The tenant can be used again.`],
  BlockTenant: () => ["BLOCK: the regions serve nobody of this tenant until an UnblockTenant is approved; its keys leave their memory.", STAYS],
  UnblockTenant: (act) => [`UNBLOCK: lifts the blocks ${listed(act.blocks)}, and no other stop.`],
  SuspendL1: () => ["SUSPEND: nothing new is protected with this tenant's keys until a ResumeL1 is approved. What is protected can still be read."],
  ResumeL1: (act) => [`RESUME: lifts the suspensions ${listed(act.suspensions)}, and no other stop.`],
  LinkL1: (act) => [`LINK: the tenant's keys are wrapped by the key ${act.l1.key} at provider ${act.l1.provider}.`, "Whoever controls that key controls whether the tenant can be used."],
  RegisterSystem: (act) => [`REGISTER: adds the system ${act.system}, which gets keys of its own.`],
  RetireSystem: (act) => [`RETIRE: takes the system ${act.system} out of use, with its callers. It stops working.`],
  TerminateTenant: () => [
    "TERMINATE: every region destroys every key of this tenant. Nothing brings them back, and nobody reads its data again.",
    "Backups of a region's store open with the customer's own key alone: destroy it, too, for certainty.",
  ],
  ChangePolicy: (act, trust) => [`POLICY: replaces the Cedar policies. ${versions(act, trust)}`],
  ChangeCallers: (act, trust) => [`CALLERS: changes which client certificates use which system. ${versions(act, trust)}`],
  ChangeActors: (act, trust) => [`ACTORS: changes people, groups or keys. ${versions(act, trust)}`],
  ChangeQuorum: (act, trust) => [`QUORUM: changes who must sign what. ${versions(act, trust)}`],
  ChangeResidency: (act, trust) => [`RESIDENCY: changes where the tenant's keys may exist. ${versions(act, trust)}`],
  ApplyTopology: (act) => [
    `TOPOLOGY: from serial ${act.serial} on, nodes run only with files that say exactly this. \`kcm topology plan\` shows what differs from before.`,
    ...Object.entries(read(fromText(act.governed))).map(([pointer, value]) =>
      pointer.endsWith(CONTENT) ? `  the content of ${pointer.slice(0, -CONTENT.length)} = SHA-256 ${value}` : `  ${pointer} = ${value}`),
    ...(act.tenants.length === 0 ? [] : [`It moves these tenants, each of which has to certify it, too: ${listed(act.tenants)}.`]),
  ],
  ChangeLease: (act, trust) => [`LEASE: changes how long a region serves on by itself. ${versions(act, trust)}`],
};

/** Everything in which two versions of a trust root differ. */
export async function differences(now, next) {
  const lines = [...people(now.actors, next.actors)];
  for (const kind of union(now.rules, next.rules)) {
    if (differs(now.rules[kind], next.rules[kind])) lines.push(next.rules[kind] ? `+ ${rule(kind, next.rules[kind])}` : `- the rule for ${kind}`);
  }
  lines.push(...set(delegations(now), delegations(next), (line) => line));
  lines.push(...set(now.systems, next.systems, (system) => `system ${system}`));
  lines.push(...set(await callers(now), await callers(next), (line) => line));
  lines.push(...set(now.residency, next.residency, (place) => `keys may lie in ${place}`), ...regions(now.regions, next.regions));
  lines.push(...set(now.carried, next.carried, (one) => `certificates carried over: ${one}`));
  const [before, after] = [terms(now), terms(next)];
  before.forEach((line, at) => {
    if (line !== after[at]) lines.push(`- ${line}`, `+ ${after[at]}`);
  });
  for (const [name, what] of OTHERS) {
    if (differs(now[name], next[name])) lines.push(`! the ${what}: ${shown(now[name])} becomes ${shown(next[name])}`);
  }
  // What this page has no sentence for is shown all the same.
  for (const name of union(now, next)) {
    if (!TOLD.has(name) && differs(now[name], next[name])) lines.push(`! ${name}: ${shown(now[name])} becomes ${shown(next[name])}`);
  }
  return lines;
}

const OTHERS = [["name", "name"], ["policy", "policy"]];
const TOLD = new Set(["actors", "rules", "systems", "callers", "carried", "residency", "regions", "lease", "l1", "webauthn", "recovery", "delegations", "version", "previous", "tenant", ...OTHERS.map(([name]) => name)]);
const shown = (value) => (value === undefined ? "nothing" : new TextDecoder().decode(write(value)));
const differs = (one, other) => one !== other && (one === undefined || other === undefined || shown(one) !== shown(other));
const union = (one, other) => [...new Set([...Object.keys(one), ...Object.keys(other)])].sort();
const listed = (items) => (items.length === 0 ? "none" : items.join(", "));

function set(now, next, name) {
  return [...now.filter((one) => !next.includes(one)).map((one) => `- ${name(one)}`), ...next.filter((one) => !now.includes(one)).map((one) => `+ ${name(one)}`)];
}

function regions(now, next) {
  const other = (one, two) => Object.entries(one).filter(([name, region]) => differs(region, two[name]));
  return [
    ...other(now, next).map(([name, region]) => `- region ${name} in ${region.jurisdiction}: it destroys every key of the tenant that lies there`),
    ...other(next, now).map(([name, region]) =>
      `+ region ${name} in ${region.jurisdiction}, report key ${region.report_key}, HPKE key ${region.hpke_key}: it serves nobody before a LinkL1 names it`),
  ];
}

function people(now, next) {
  const lines = [];
  for (const person of union(now, next)) {
    const [before, after] = [now[person], next[person]];
    if (!after) lines.push(`- ${person}, of ${listed(before.groups)}`);
    else if (!before) {
      lines.push(`+ ${person}, of ${listed(after.groups)}`, ...Object.entries(after.keys).map(([name, key]) => `+ key ${name} of ${person}: ${publicKey(key)}`));
      if (after.subject !== undefined) lines.push(`! ${person} stands for ${after.subject} at the identity provider`);
    } else lines.push(...oneOf(person, before, after));
  }
  return lines;
}

function oneOf(person, before, after) {
  const lines = set(before.groups, after.groups, (group) => `${person} in ${group}`);
  for (const name of union(before.keys, after.keys)) {
    const [old, fresh] = [before.keys[name], after.keys[name]];
    if (!differs(old, fresh)) continue;
    if (old) lines.push(`- key ${name} of ${person}: ${publicKey(old)}`);
    if (fresh) lines.push(`+ key ${name} of ${person}: ${publicKey(fresh)}`);
  }
  if (differs(before.subject, after.subject)) lines.push(`! ${person} stands for ${after.subject ?? "nobody"} at the identity provider`);
  return lines;
}

/** A key as it is compared. */
export function publicKey(key) {
  const word = { "webauthn,true": " (passkey, independent of governance's portal)", "webauthn,false": " (passkey)", "ed25519,true": "", "ed25519,false": " (not independent)" };
  return `${key.public}${word[`${key.algorithm},${key.independent}`] ?? ` (${key.algorithm})`}`;
}

/** Who must sign a kind of change. */
export function rule(kind, of) {
  const need = of.need.map(({ count, group }) => `${count} of ${group}`).join(" and ");
  const by = of.verify === "user" ? ", each by a passkey with user verification" : "";
  const disjoint = of.disjoint ? "" : ", who may be of several of these groups";
  return `${kind} needs ${need}${disjoint}${by}${of.confirm ? ", then the proposer confirms" : ""}; approvals are collected for ${of.expires_seconds} s.`;
}

/** How long a region serves on by itself, what ends that, and where passkeys sign. */
function terms(root) {
  const seconds = (text) => (text === "0" ? "without end" : `for ${text} s`);
  const keys = root.webauthn;
  return [
    `cut off from governance it serves on ${seconds(root.lease.seconds)}`,
    `the lease is renewed by ${root.lease.key}`,
    `without L1 it serves on ${seconds(root.l1.grace)}`,
    `after a refusal of L1 ${root.l1.resume === "probe" ? "a probe resumes it" : "a quorum resumes it"}`,
    recovery(root.recovery),
    keys ? `passkeys of ${listed(keys.algorithms)} sign for rpId ${keys.rp_id}, at ${listed(keys.origins)}` : "no passkey signs",
  ];
}

/** Who stands in for whom, and when. */
const moment = (seconds) => new Date(Number(seconds) * 1000).toISOString();
const delegations = (root) => (root.delegations ?? []).map((one) => `${one.to} stands in for ${one.from} in ${listed(one.groups)}, from ${moment(one.since)} until ${moment(one.until)}`);

/** Which cold keys recover a tenant, and when. */
function recovery(terms) {
  if (terms === undefined) return "recovery: by no key";
  return `recovery: by ${terms.need} of the keys ${listed(terms.keys)}, after ${terms.delay_seconds} s`;
}

async function callers(root) {
  const one = async ({ anchor, system, name }) => {
    const by = anchor.kind === "ca" ? `client CA ${toText(await sha256(fromText(anchor.certificate)))}` : `client certificate ${anchor.digest}`;
    return `${by}${name === undefined ? "" : ` named ${name}`} uses system ${system}`;
  };
  return Promise.all(root.callers.map(one));
}

/** The bundle whole, as it is signed. */
function policies(bundle) {
  const { schema, policies, entities } = read(fromText(bundle));
  const lines = (text) => text.split("\n").map((line) => `  ${line}`);
  return ["Its policies:", ...lines(policies), "Its entities:", ...lines(entities), "Its schema:", ...lines(schema)];
}
