// Words and shapes for states: no colour stands alone.

import { el } from "./dom.js";

export const STATES = {
  open: { shape: "○", word: "open: approvals are collected" },
  armed: { shape: "◔", word: "armed: signed in advance, and stops nothing until one of its signers fires it" },
  ratified: { shape: "◐", word: "ratified: the regions still try the customer's key" },
  applying: { shape: "◐", word: "in force, on its way to the regions" },
  active: { shape: "●", word: "active: every region has confirmed it" },
  rejected: { shape: "✕", word: "rejected" },
  withdrawn: { shape: "✕", word: "withdrawn" },
  expired: { shape: "✕", word: "expired" },
  failed: { shape: "✕", word: "failed" },
};

export function state(view) {
  const { shape, word } = STATES[view.state] ?? { shape: "?", word: view.state };
  return el("span", { class: `state ${view.state}`, id: "state", "data-state": view.state }, el("span", { "aria-hidden": "true" }, `${shape} `), word, view.why ? `: ${view.why}` : "");
}

export const stopMark = (view) => (view.stop ? el("span", { class: "stop-mark" }, "■ STOP ") : "");

export function region(progress) {
  const shape = { applied: "■", refused: "✕", waiting: "▲" }[progress.confirmation] ?? "?";
  const word = { applied: "confirmed", refused: "refused", waiting: "unconfirmed" }[progress.confirmation] ?? progress.confirmation;
  return el("span", { class: `state ${progress.confirmation}`, "data-confirmation": progress.confirmation }, el("span", { "aria-hidden": "true" }, `${shape} `), word);
}

/** Microseconds as milliseconds. */
export const ms = (us) => (us === null || us === undefined ? "–" : `${(us / 1000).toFixed(1)} ms`);
