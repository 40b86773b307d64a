// Who signs, and with which of their passkeys: the part of a form that answers and proposals share.

import { choice, el, field } from "./dom.js";
import { Unsigned, barred } from "./passkey.js";
import { passkeys } from "./statement.js";

const holders = (tenant) => Object.keys(tenant.trust_root.actors).filter((person) => passkeys(tenant.trust_root, person).length > 0);

/** Why nobody can sign for this tenant here, or nothing. */
export function unable(tenant) {
  const none = new Unsigned("Nobody of this tenant has a passkey.", "Enrol one on this portal, or sign with a key file: kcm proposal approve.");
  return barred(tenant.trust_root.webauthn) ?? (holders(tenant).length === 0 ? none : null);
}

/** The fields, and what was chosen in them. */
export function signer(session, tenant, verify) {
  const people = holders(tenant);
  const key = el("select", { id: "key" });
  const keys = () => passkeys(tenant.trust_root, person.value);
  const fill = () => key.replaceChildren(...keys().map((one) => el("option", { value: one.name }, `${one.name} · ${one.public.slice(0, 12)}…`)));
  const person = choice("person", people.map((name) => [name, name]), me(session, tenant, people) ?? people[0], fill);
  fill();
  const hint = verify ? "The rule demands PIN or body, not a touch alone." : null;
  return { fields: [field("You are", person), field("Your passkey", key, hint)], chosen: () => ({ person: person.value, key: keys().find((one) => one.name === key.value) }) };
}

/** The person of the tenant who is signed in, by the names that the trust root gives them. */
function me(session, tenant, people) {
  const names = (person) => {
    const { subject } = tenant.trust_root.actors[person];
    return subject ? [subject] : [person, `spiffe://${tenant.deployment}/person/${person}`];
  };
  return people.find((person) => names(person).includes(session.name));
}

/** Nothing of a form can be touched while it works. */
export function busy(form, on) {
  form.setAttribute("aria-busy", String(on));
  for (const control of form.elements) control.disabled = on;
}
