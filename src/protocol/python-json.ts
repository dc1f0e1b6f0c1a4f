/** JSON text as Python's `json.dumps` writes it: a blank after each comma and colon, and nothing but ASCII. */

/** JSON text that both write alike. */
const ALIKE = /^[ -+\--9;-~]*$/;

const QUOTE = 34;
const COMMA = 44;
const COLON = 58;
const BACKSLASH = 92;
const LAST_PLAIN = 126;

/** @param text - JSON without blanks between its parts, as `stringifyJson` gives it */
export function pythonJson(text: string): string {
  if (ALIKE.test(text)) return text;
  let written = "";
  let from = 0;
  let isString = false;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) isString = !isString;
    else if (code === BACKSLASH) at += 1;
    else if (code > LAST_PLAIN) {
      written += `${text.slice(from, at)}\\u${code.toString(16).padStart(4, "0")}`;
      from = at + 1;
    } else if (!isString && (code === COMMA || code === COLON)) {
      written += `${text.slice(from, at + 1)} `;
      from = at + 1;
    }
  }
  return written + text.slice(from);
}
