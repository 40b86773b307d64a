// How what went wrong is told: what, why, and what to do.

import { Problem } from "./api.js";
import { el, notice } from "./dom.js";

export function failed(why) {
  if (why instanceof Problem) return notice("error", why.message, why.detail, why.fix, why.code ? el("p", { class: "hint" }, "Code: ", el("code", { class: "problem" }, why.code)) : "");
  return notice("error", why.message, why.fix ?? "Load the page anew; if it stays, tell those who run governance.");
}
