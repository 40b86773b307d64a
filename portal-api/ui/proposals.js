// What waits for somebody, what runs, and what was decided lately.

import { call, list, watch } from "./api.js";
import { el, moment, table } from "./dom.js";
import { STATES, stopMark } from "./words.js";

const LATELY = 20;

export async function proposals(show) {
  const draw = async () => {
    const [tenants, open, lately] = await Promise.all([list("/v1/tenants"), list("/v1/proposals?state=open"), call("GET", `/v1/proposals?limit=${LATELY}`)]);
    const names = new Map(tenants.map((tenant) => [tenant.id, tenant.name]));
    const rest = lately.items.filter((view) => view.state !== "open");
    show(
      el("h1", { tabindex: "-1" }, "Proposals"),
      tenants.length === 0 ? el("p", {}, "You are a person of no tenant here.") : el("p", {}, `Tenants: ${tenants.map((tenant) => `${tenant.name} (${tenant.state.toLowerCase()})`).join(", ")}.`),
      open.length === 0 ? el("p", {}, "No proposal waits for approval.") : waiting(open, names),
      rest.length === 0 ? "" : decided(rest, names),
    );
  };
  await draw();
  return watch((event) => (event === null || event.event === "proposal" || event.event === "missed") && draw().catch(() => {}), () => {});
}

const link = (view) => el("a", { href: `#/proposals/${view.id}` }, stopMark(view), `${view.kind} `, el("span", { class: "id" }, view.id));

function waiting(views, names) {
  const row = (view) => [link(view), names.get(view.tenant) ?? view.tenant, view.proposer, view.missing.join(", ") || (view.needs_confirmation ? "the proposer's confirmation" : "–"), moment(view.expires * 1000), view.risk];
  return table(`Waiting for approval: ${views.length}`, ["Proposal", "Tenant", "Proposed by", "Missing", "Collected until", "Risk"], views.map(row));
}

function decided(views, names) {
  const row = (view) => [link(view), names.get(view.tenant) ?? view.tenant, `${STATES[view.state]?.word ?? view.state}`, moment(view.created_ms)];
  return table("Running and decided lately", ["Proposal", "Tenant", "State", "Proposed"], views.map(row));
}
