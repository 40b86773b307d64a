// One proposal: what it does, read from the bytes that are signed; who decides; the answer by passkey; and the regions, as they confirm it.

import { call, watch } from "./api.js";
import { toText } from "./canon.js";
import { copyable, el, field, moment, notice, table } from "./dom.js";
import { failed } from "./failed.js";
import { Unsigned, sign } from "./passkey.js";
import { FINAL, sentences, understood } from "./plain.js";
import { busy, signer, unable } from "./signer.js";
import { Refused, answer, examine, mustVerify, nonce } from "./statement.js";
import { ms, region, state, stopMark } from "./words.js";

/** Roles, their path in the interface, and their button. */
const ROLES = { approve: "Approve with passkey", reject: "Reject with passkey", confirm: "Confirm with passkey" };
const PENDING = ["open", "ratified"];

export async function proposal(show, session, id) {
  const path = `/v1/proposals/${encodeURIComponent(id)}`;
  // Replaced as they move; what is read and signed stays as it was drawn once.
  const live = el("section", { "aria-labelledby": "progress-title" });
  const said = el("div", { id: "said" });
  const lost = el("p", { role: "status", class: "hint" });
  let view = await call("GET", path);
  const tenant = await call("GET", `/v1/tenants/${encodeURIComponent(view.tenant)}`);
  const read = await examine(view, tenant).catch((why) => {
    if (why instanceof Refused) return why;
    throw why;
  });
  const form = read instanceof Refused ? el("section") : await answering({ session, view, tenant, read, said, after: (fresh) => redraw(fresh) });
  const redraw = (fresh) => {
    view = fresh;
    live.replaceChildren(...progress(view));
    form.hidden = view.state !== "open";
  };
  redraw(view);
  show(...(await head(view, tenant, read)), form, said, live, lost);
  let asked = Promise.resolve();
  const look = (event) => {
    lost.textContent = "";
    if (event !== null && event.proposal !== undefined && event.proposal !== id) return;
    asked = asked.then(async () => redraw(await call("GET", path))).catch((why) => said.replaceChildren(failed(why)));
  };
  return watch(look, () => (lost.textContent = "Live news is interrupted; the browser tries again. What stands above may be old."));
}

async function head(view, tenant, read) {
  const title = el("h1", { tabindex: "-1" }, stopMark(view), `${view.kind} for ${tenant.name}`);
  if (read instanceof Refused) {
    const advice = "Do not sign it anywhere. Tell the proposer and those who run governance, and keep the answer of `kcm proposal show -o json` as evidence.";
    return [title, el("div", { id: "refused" }, notice("error", "this proposal is not what it says, and cannot be signed here", read.message, advice))];
  }
  const lines = (await sentences(read)).map(sentence);
  return [
    el("div", { class: view.stop ? "stop" : "plain" }, title, view.stop ? el("p", { class: "stop-word" }, "This is a stop: what works now will not work afterwards.") : ""),
    el("section", { "aria-labelledby": "what-title" }, el("h2", { id: "what-title" }, "What you would sign"), el("p", { class: "hint" }, "Read in this browser from the bytes of the change, whose digest was computed here."), el("ul", { id: "sentences", class: "sentences" }, lines), el("h3", {}, "Digest of the change"), copyable("digest", "Digest of the change", read.digest), el("p", { class: "hint" }, "kcm proposal show prints the same digest: compare it on a second device.")),
    read.evidence === undefined ? "" : el("section", {}, el("h2", {}, "Shown to the proposer, and signed with the change"), el("pre", { id: "evidence", tabindex: "0" }, readable(read.evidence))),
    el("section", {}, el("h2", {}, "Risk"), el("p", {}, view.risk)),
  ];
}

/** A simulation with a line for each member; anything else as it stands. */
function readable(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function sentence(text) {
  const kind = { "+": "added", "-": "removed", "!": "altered" }[text[0]];
  const sign = kind && text[1] === " " ? el("span", { class: `sign ${kind}` }, `${kind}: `) : null;
  return el("li", { class: text.startsWith("  ") ? "code" : null }, sign ?? "", el("bdi", {}, sign ? text.slice(2) : text));
}

async function answering({ session, view, tenant, read, said, after }) {
  const terms = tenant.trust_root.webauthn;
  const why = understood(read.change.action.kind) ? unable(tenant) : new Unsigned("This page does not know this kind of change.", "Read and sign it with kcm proposal.");
  const form = el("form", { id: "answer", "aria-labelledby": "answer-title", onsubmit: (event) => event.preventDefault() }, el("h2", { id: "answer-title" }, "Your answer"));
  if (why) {
    form.append(notice("warning", why.message, why.fix));
    return form;
  }
  const mind = { verify: mustVerify(view, read.trust, read.change) };
  const signs = signer(session, tenant, mind.verify);
  const typed = FINAL.includes(view.kind) ? el("input", { id: "typed", autocomplete: "off", spellcheck: "false" }) : null;
  form.append(...signs.fields, typed ? field(`Nothing takes this back. To approve it, type the tenant's name: ${tenant.name}`, typed) : "");
  const act = async (role) => {
    said.replaceChildren();
    if (typed && role !== "reject" && typed.value !== tenant.name) {
      return said.replaceChildren(notice("error", "the tenant's name is not typed", `Type ${tenant.name} exactly.`));
    }
    const { person, key } = signs.chosen();
    busy(form, true);
    try {
      after(await vote(role, { view, read, terms, key, person, verify: mind.verify && role !== "reject" }));
      said.replaceChildren(notice("done", `${person} ${{ approve: "approved", reject: "rejected", confirm: "confirmed" }[role]} exactly this.`, "Your signature is kept with the proposal."));
    } catch (why) {
      // The rules of this change ask for more than was known here: the next attempt demands it.
      if (why.code === "not-user-verified") mind.verify = true;
      said.replaceChildren(failed(why));
    }
    busy(form, false);
    said.firstElementChild?.focus();
  };
  const buttons = Object.entries(ROLES).filter(([role]) => role !== "confirm" || view.needs_confirmation);
  form.append(el("div", { class: "buttons" }, buttons.map(([role, text]) => el("button", { type: "button", id: role, class: role === "approve" ? (view.stop ? "main danger" : "main") : null, onclick: () => act(role) }, text))));
  return form;
}

/** Composes the statement, has the passkey sign its digest, and hands over both. What was read is composed from, not what came since. */
async function vote(role, { view, read, terms, key, person, verify }) {
  const statement = await answer(role, read.statement, { person, key: key.name, origin: location.origin, nonce: nonce() });
  const signature = await sign(terms, key.public, role, statement, verify);
  return call("POST", `/v1/proposals/${encodeURIComponent(view.id)}/${role}`, { vote: { statement: toText(statement), signature } });
}

function progress(view) {
  const votes = [["proposed", [{ person: view.proposer, key: "", at_ms: view.created_ms }]], ["approved", view.approvals], ["rejected", view.rejections], ["confirmed", view.confirmations], ["fired", view.armed?.fired ? [view.armed.fired] : []]];
  const rows = votes.flatMap(([word, all]) => all.map((vote) => [vote.person, word, vote.key || "–", moment(vote.at_ms)]));
  return [el("h2", { id: "progress-title" }, "Where it stands"), el("p", { "aria-live": "polite" }, state(view)), ...armed(view), ...quorum(view), table("Who said what", ["Person", "Said", "Key", "When"], rows), notes(view), regions(view), probes(view)].filter((part) => part !== "");
}

/** Of a stop that is signed in advance: until when, by whom, and what it would no longer do. */
function armed(view) {
  if (!view.armed || view.armed.fired) return [];
  const { until, may_fire, lacks, misses } = view.armed;
  const lines = [el("span", {}, "It can be fired until ", moment(until * 1000), ".")];
  if (may_fire.length) lines.push(`Who may fire it: ${may_fire.join(", ")}, with kcm proposal fire ${view.id}.`);
  if (lacks) lines.push(`It would stop nobody as things are: ${lacks}.`);
  if (misses.length) lines.push(`It does not reach ${misses.join(", ")}, which the tenant took in later.`);
  return [el("ul", { id: "armed" }, lines.map((line) => el("li", {}, line)))];
}

/** What people told each other: no note is signed, and none decides anything. */
function notes(view) {
  if (view.notes.length === 0) return "";
  return table("Notes", ["By", "When", "Note"], view.notes.map((note) => [note.by, moment(note.at_ms), note.text]));
}

function quorum(view) {
  if (!PENDING.includes(view.state)) return [];
  const of = view.quorum;
  const lines = (of?.unmet ?? []).map((rule) => `Missing for ${rule.kinds.join(", ")}: ${rule.missing.join(", ")}.`);
  lines.push(...(of?.besides ?? []).map((lacking) => `Lacking: ${lacking}.`));
  if (of && lines.length === 0) lines.push("No approval is missing.");
  if (of?.can_approve.length) lines.push(`Can approve: ${of.can_approve.map(({ person, groups }) => `${person} (${groups.join(", ")})`).join(", ")}.`);
  lines.push(...(of?.cannot_approve ?? []).map(({ person, why }) => `Cannot: ${person}, since ${why}.`));
  if (view.needs_confirmation) lines.push(`${view.proposer} still has to confirm.`);
  if (of && !of.met && !of.reachable) lines.push("Those who can still approve do not suffice: it cannot be ratified as things are.");
  return [el("ul", { id: "quorum" }, lines.map((line) => el("li", {}, line))), el("p", {}, "Approvals are collected until ", moment(view.expires * 1000), ".")];
}

function regions(view) {
  const all = Object.entries(view.regions);
  if (all.length === 0) return "";
  const confirmed = all.filter(([, progress]) => progress.confirmation === "applied").length;
  const why = (progress) => progress.why || (progress.confirmation === "waiting" && progress.lease_ends_ms ? el("span", {}, "locks itself when its lease ends: ", moment(progress.lease_ends_ms)) : "–");
  const rows = all.map(([name, progress]) => [name, region(progress), ms(progress.waited_us), ms(progress.took_us), why(progress)]);
  return el("div", { id: "regions" }, el("p", { "aria-live": "polite" }, `${confirmed} of ${all.length} regions have confirmed it.`), table("Regions", ["Region", "State", "Since approval", "In the region", "Why"], rows), view.stop ? el("p", { class: "hint" }, "Our nodes are locked once a region has confirmed. Clients that hold a key which they fetched go on until they next ask: a mongod polls every 900 s by default.") : "");
}

function probes(view) {
  const all = Object.entries(view.probes);
  if (all.length === 0) return "";
  return table("Attempts at the customer's key", ["Region", "Key", "Why"], all.map(([name, probe]) => [name, probe.state ?? "not answered", probe.why || "–"]));
}
