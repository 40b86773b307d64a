// Elements from code: every text enters as text, never as markup.

/** An element: attributes by name, `on…` as listeners; children are elements or texts, and nothing where there is none. */
export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** A table with a caption; a cell is a text or an element. */
export function table(caption, heads, rows) {
  const head = el("thead", {}, el("tr", {}, heads.map((text) => el("th", { scope: "col" }, text))));
  const line = (cells) => el("tr", {}, cells.map((cell, at) => el(at === 0 ? "th" : "td", at === 0 ? { scope: "row" } : { "data-label": heads[at] }, cell)));
  return el("table", {}, el("caption", {}, caption), head, el("tbody", {}, rows.map(line)));
}

/** A field with its label and what there is to know about it. */
export function field(label, control, hint = null) {
  if (hint !== null) control.setAttribute("aria-describedby", `${control.id}-hint`);
  return el("div", { class: "field" }, el("label", { for: control.id }, label), control, hint === null ? null : el("p", { id: `${control.id}-hint`, class: "hint" }, hint));
}

export function choice(id, options, chosen, onchange = null) {
  return el("select", { id, onchange }, options.map(([value, text]) => el("option", { value, selected: value === chosen }, text)));
}

/** What went wrong, or well: a word says which, besides the colour. A screen reader speaks it at once. */
export function notice(kind, title, ...lines) {
  const word = { error: "Not done", warning: "Take care", done: "Done" }[kind];
  return el("div", { class: `notice ${kind}`, role: kind === "done" ? "status" : "alert", tabindex: "-1" }, el("p", {}, el("strong", {}, `${word}: `), title), lines.map((line) => (typeof line === "string" ? el("p", {}, line) : line)));
}

/** A moment with its zone, and how far away it is. */
export function moment(ms) {
  const at = new Date(ms);
  const minutes = Math.round((ms - Date.now()) / 60_000);
  const [amount, unit] = Math.abs(minutes) < 120 ? [minutes, "minute"] : Math.abs(minutes) < 48 * 60 ? [Math.round(minutes / 60), "hour"] : [Math.round(minutes / 1440), "day"];
  const away = new Intl.RelativeTimeFormat("en", { numeric: "auto" }).format(amount, unit);
  return el("time", { datetime: at.toISOString() }, `${at.toLocaleString("en", { dateStyle: "medium", timeStyle: "medium" })} ${zone(at)} (${away})`);
}

function zone(at) {
  const part = new Intl.DateTimeFormat("en", { timeZoneName: "short" }).formatToParts(at).find((found) => found.type === "timeZoneName");
  return part ? part.value : "";
}

/** Offers a text to copy. */
export function copyable(id, label, text) {
  const said = el("span", { role: "status" });
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      said.textContent = "Copied.";
    } catch {
      said.textContent = "The browser does not let this page copy: select the text instead.";
    }
  };
  return el("div", { class: "copyable" }, el("code", { id, tabindex: "0", "aria-label": label }, text), el("button", { type: "button", onclick: copy }, "Copy"), said);
}
