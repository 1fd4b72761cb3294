/** Small helpers for elements; data never becomes markup. */

import { words } from "./words.js";

/**
 * A new element.
 * @param {string} tag
 * @param {Record<string, any>} [options] properties; `class`, `for` and `aria-...` as attributes; `word`, `label`: keys of words.js,
 *   with `values` for their gaps
 * @param {...(Node|string|null)} children
 */
export function el(tag, options = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || value === null) continue;
    if (name === "word" || name === "label") node.dataset[name] = value;
    else if (name === "values") node.dataset.values = JSON.stringify(value);
    else if (name === "class") node.className = value;
    else if (name === "for" || name === "role" || name === "list" || name.includes("-")) node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children.filter((child) => child !== null));
  translate(node);
  return node;
}

/** Say another thing with an element. */
export function say(node, word, values = {}) {
  node.dataset.word = word;
  node.dataset.values = JSON.stringify(values);
  translate(node);
}

/** Fill in the words of an element in the language that is chosen. */
export function translate(node) {
  const values = node.dataset.values ? JSON.parse(node.dataset.values) : {};
  if (node.dataset.word) node.textContent = words(node.dataset.word, values);
  if (node.dataset.label) {
    const text = words(node.dataset.label, values);
    if (node instanceof HTMLImageElement) node.alt = text;
    else node.setAttribute("aria-label", text);
  }
}

export function translateAll() {
  for (const node of document.querySelectorAll("[data-word], [data-label]")) translate(node);
}

/** A labelled number, slider or choice: the label and its control in a paragraph. */
export function field(id, word, control, values = undefined) {
  control.id = id;
  return el("p", { class: "field" }, el("label", { for: id, word, values }), control);
}

export function button(word, act, kind = "") {
  return el("button", { type: "button", class: kind, word, onclick: act });
}

/** @param {string} data base64 of a PNG */
export function url(data) {
  return `data:image/png;base64,${data}`;
}

/** A PNG in base64 as an image that is ready to be drawn. */
export async function picture(data) {
  const image = new Image();
  image.src = url(data);
  await image.decode();
  return image;
}

export const percent = (share, digits = 0) => `${(100 * share).toFixed(digits)}\u00a0%`;

/** "12.3 million" is hard to compare: all digits, in groups. */
export const whole = (number) => number.toLocaleString("en-US");
