// Enrol a passkey: the new key says itself whose it is. The file that comes out goes to whoever may propose people; nothing is sent from here.

import { call, list } from "./api.js";
import { toText } from "./canon.js";
import { choice, copyable, el, field, notice } from "./dom.js";
import { failed } from "./failed.js";
import { barred, make, sign } from "./passkey.js";
import { enrolment } from "./statement.js";

/** Names of persons and keys (actors/orbital/src/names.rs, as far as a form can say it). */
const NAME = "[A-Za-z0-9._:\\/\\-]{1,128}";

export async function enrol(show) {
  const tenants = await list("/v1/tenants");
  const said = el("div", { id: "said" });
  const title = [el("h1", { tabindex: "-1" }, "Enrol a passkey"), el("p", {}, "A passkey is a key on your device that signs what you approve. It counts once your tenant's people have approved it, too.")];
  if (tenants.length === 0) return show(...title, notice("warning", "you are a person of no tenant here", "Ask those who run governance which tenant you belong to."));
  const tenant = choice("tenant", tenants.map((one) => [one.id, one.name]), tenants[0].id);
  const person = el("input", { id: "person", required: true, pattern: NAME, autocomplete: "off", autocapitalize: "none", spellcheck: "false" });
  const key = el("input", { id: "key-name", required: true, pattern: NAME, value: "passkey", autocomplete: "off", autocapitalize: "none", spellcheck: "false" });
  const submit = async (event) => {
    event.preventDefault();
    said.replaceChildren();
    form.setAttribute("aria-busy", "true");
    try {
      said.replaceChildren(...made(await enrolled(tenant.value, person.value, key.value)));
    } catch (why) {
      said.replaceChildren(failed(why));
    }
    form.setAttribute("aria-busy", "false");
    said.firstElementChild?.focus();
  };
  const form = el(
    "form",
    { id: "enrol", onsubmit: submit },
    field("Tenant", tenant),
    field("Your name in it", person, "As the tenant's people call you, such as alice."),
    field("A name for the key", key, "Yours to choose: a person may have several, such as laptop and phone."),
    el("div", { class: "buttons" }, el("button", { type: "submit", id: "make", class: "main" }, "Make a passkey")),
    el("p", { class: "hint" }, "Your device asks twice: once to make the key, once for the key to sign whose it is."),
  );
  show(...title, form, said);
  return null;
}

async function enrolled(id, person, name) {
  const tenant = await call("GET", `/v1/tenants/${encodeURIComponent(id)}`);
  const terms = tenant.trust_root.webauthn;
  const why = barred(terms);
  if (why) throw why;
  const publicKey = await make(terms, `${person} @ ${tenant.name} (${name})`);
  const statement = enrolment(tenant.id, person, "webauthn", publicKey);
  const signature = await sign(terms, publicKey, "enrol", statement, false);
  const known = Object.hasOwn(tenant.trust_root.actors, person);
  return { tenant, person, name, publicKey, known, file: JSON.stringify({ statement: toText(statement), signature }) };
}

function made({ tenant, person, name, publicKey, known, file }) {
  const called = `${person.replaceAll(/[^A-Za-z0-9._-]/g, "_")}.enrolment`;
  const save = () => {
    const url = URL.createObjectURL(new Blob([file], { type: "application/json" }));
    const link = el("a", { href: url, download: called });
    document.body.append(link);
    link.click();
    link.remove();
    URL.revokeObjectURL(url);
  };
  const command = `kcm actor add ${person} --tenant ${tenant.name} --key-name ${name}${known ? "" : " --group GROUP"} --enrolment ${called}`;
  return [
    notice("done", "the passkey is made, and has signed that it is yours.", "It counts as soon as your tenant's people have approved it:"),
    el("section", { "aria-labelledby": "next-title" }, [
      el("h2", { id: "next-title" }, "What to do with it"),
      el("ol", {}, [
        el("li", {}, el("p", {}, "Hand this enrolment to somebody who may propose people of the tenant."), el("button", { type: "button", id: "save", onclick: save }, `Save ${called}`), copyable("enrolment", "The enrolment", file)),
        el("li", {}, el("p", {}, "They propose it:"), copyable("command", "Command", command)),
        el("li", {}, el("p", {}, "Tell those who approve it your key's fingerprint, by another way than that file. The command line shows it to them before they sign."), copyable("fingerprint", "Fingerprint of the key", publicKey)),
      ]),
    ]),
  ];
}
