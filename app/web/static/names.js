// Names of brokers and symbols: they hold any character, and are as long as a key may be.

import { element } from "./base.js";

// what a browser obeys instead of showing it: control characters, and those that turn the direction of text; as in app/plain.py
const OBEYED = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;
const UNSEEN = /^[\s\p{Cc}\p{Cf}]+$/u;

function escaped(one) {
  const code = one.codePointAt(0);
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
}

// text from outside, as it can be seen
export const shown = (text) => text.replace(UNSEEN.test(text) ? /[^]/gu : OBEYED, escaped);

// a name as an element, a link if there is an address; the style cuts a long one, and the title has all of it
export const nameElement = (name, href) => element(href ? "a" : "span", { class: "name", href, title: shown(name) }, shown(name));
