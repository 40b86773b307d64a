// Propose a stop with a passkey: it is composed here, read back from its bytes, and signed. Every other change is composed by the command line.

import { call, list } from "./api.js";
import { digest, read, toText } from "./canon.js";
import { choice, copyable, el, field, notice } from "./dom.js";
import { failed } from "./failed.js";
import { sign } from "./passkey.js";
import { sentences } from "./plain.js";
import { busy, signer, unable } from "./signer.js";
import { nonce, propose as proposing, stop } from "./statement.js";

const KINDS = [["RevokeL1", "Revoke: nothing at all works"], ["BlockTenant", "Block: nobody is served"], ["SuspendL1", "Suspend: nothing new is protected"]];

export async function propose(show, session) {
  const tenants = await list("/v1/tenants");
  const said = el("div", { id: "said" });
  const title = [el("h1", { tabindex: "-1" }, "Propose a stop"), el("p", {}, "It reaches all regions of the tenant once others have approved it. All other changes are proposed with the command line: kcm help.")];
  if (tenants.length === 0) return show(...title, notice("warning", "you are a person of no tenant here", "Ask those who run governance which tenant you belong to."));
  const tenant = choice("tenant", tenants.map((one) => [one.id, one.name]), tenants[0].id);
  const kind = choice("kind", KINDS, "RevokeL1");
  const reason = el("input", { id: "reason", maxlength: "500", autocomplete: "off" });
  const submit = async (event) => {
    event.preventDefault();
    try {
      said.replaceChildren(...(await draft(session, await call("GET", `/v1/tenants/${encodeURIComponent(tenant.value)}`), kind.value, reason.value.normalize("NFC"))));
    } catch (why) {
      said.replaceChildren(failed(why));
    }
    said.querySelector("h2, .notice")?.focus();
  };
  show(...title, el("form", { onsubmit: submit }, field("Tenant", tenant), field("Stop", kind), field("Why, for those who approve", reason), el("div", { class: "buttons" }, el("button", { type: "submit", id: "read", class: "main" }, "Read what it says"))), said);
  return null;
}

async function draft(session, tenant, kind, reason) {
  const why = unable(tenant);
  if (why) throw why;
  const trust = tenant.trust_root;
  const bytes = stop(kind, tenant, reason, nonce());
  const lines = await sentences({ change: read(bytes), trust });
  const verify = trust.rules[kind].verify === "user";
  const signs = signer(session, tenant, verify);
  const refused = el("div", { id: "refusal" });
  const submit = async (event) => {
    event.preventDefault();
    refused.replaceChildren();
    const { person, key } = signs.chosen();
    busy(form, true);
    try {
      const expires = Math.floor(Date.now() / 1000) + Number(trust.rules[kind].expires_seconds);
      const statement = await proposing(bytes, trust, expires, { person, key: key.name, origin: location.origin, nonce: nonce() });
      const signature = await sign(trust.webauthn, key.public, "propose", statement, verify);
      const made = await call("POST", "/v1/proposals", { change: toText(bytes), proposal: { statement: toText(statement), signature } });
      location.hash = `#/proposals/${made.id}`;
    } catch (why) {
      refused.replaceChildren(failed(why));
      busy(form, false);
      refused.firstElementChild.focus();
    }
  };
  const form = el("form", { onsubmit: submit }, signs.fields, el("div", { class: "buttons" }, el("button", { type: "submit", id: "propose", class: "main danger" }, "Propose with passkey")));
  return [el("div", { class: "stop" }, el("h2", { tabindex: "-1" }, "What you would propose"), el("ul", { id: "sentences", class: "sentences" }, lines.map((line) => el("li", {}, el("bdi", {}, line))))), copyable("digest", "Digest of the change", toText(await digest("change", bytes))), form, refused];
}
