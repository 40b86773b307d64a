// The page: who is here, and one view for each address behind the #.

import { Problem, call, whoIsHere } from "./api.js";
import { el } from "./dom.js";
import { enrol } from "./enrol.js";
import { failed } from "./failed.js";
import { proposals } from "./proposals.js";
import { proposal } from "./proposal.js";
import { propose } from "./propose.js";

const content = document.getElementById("content");
const who = document.getElementById("who");

const VIEWS = [
  [/^\/?$/, "Proposals", () => proposals(show)],
  [/^\/proposals\/([A-Za-z0-9._-]+)$/, "Proposal", (session, id) => proposal(show, session, id)],
  [/^\/propose$/, "Propose a stop", (session) => propose(show, session)],
  [/^\/enrol$/, "Enrol a passkey", (session) => enrol(show, session)],
];
/** Where the browser was on its way to before it signed in. */
const BOUND_FOR = "kcm.bound-for";

let leave = null;
let visit = 0;

async function go() {
  const mine = ++visit;
  leave?.();
  leave = null;
  const path = location.hash.slice(1);
  const [pattern, title, view] = VIEWS.find(([pattern]) => pattern.test(path)) ?? [];
  document.title = `${title ?? "Nothing here"} · Portal`;
  for (const [link, here] of [["to-proposals", title?.startsWith("Proposal")], ["to-propose", title === "Propose a stop"], ["to-enrol", title === "Enrol a passkey"]]) {
    const element = document.getElementById(link);
    if (here) element.setAttribute("aria-current", "page");
    else element.removeAttribute("aria-current");
  }
  try {
    const session = await whoIsHere();
    greet(session);
    if (mine !== visit) return;
    if (session === null) return signIn();
    if (!view) throw new Problem({ title: "There is no such page", detail: path, fix: "Go on from the list of proposals." });
    const left = await view(session, pattern.exec(path)[1]);
    if (mine === visit) leave = left;
    else left?.();
  } catch (why) {
    if (mine === visit) show(failed(why));
  }
}

/** Shows a view; the focus goes to its heading, so that a reader begins there. */
function show(...children) {
  content.replaceChildren(...children);
  const heading = content.querySelector("h1");
  if (heading && document.activeElement === document.body) heading.focus();
}

function greet(session) {
  if (session === null) return who.replaceChildren("Nobody is signed in");
  const name = session.name === "" ? "Here by a client certificate" : `Here as ${session.name}`;
  const until = session.expires_ms ? ` until ${new Date(session.expires_ms).toLocaleTimeString("en", { timeStyle: "short" })}` : "";
  const out = async () => {
    try {
      const ended = await call("POST", "/v1/session/end", {});
      location.assign(ended.provider ?? "/portal");
    } catch (why) {
      show(failed(why));
    }
  };
  who.replaceChildren(name + until, session.by === "session" ? el("button", { type: "button", onclick: out }, "Sign out") : "");
}

function signIn() {
  const begin = () => {
    sessionStorage.setItem(BOUND_FOR, location.hash);
    location.assign(`/v1/signin?to=${encodeURIComponent("/portal")}`);
  };
  show(el("h1", { tabindex: "-1" }, "Sign in"), el("p", {}, "Reading needs a sign-in. Whatever you decide is signed with your passkey besides."), el("button", { type: "button", class: "main", onclick: begin }, "Sign in"));
}

const bound = sessionStorage.getItem(BOUND_FOR);
sessionStorage.removeItem(BOUND_FOR);
if (bound && location.hash === "") location.replace(bound);
addEventListener("hashchange", go);
go();
