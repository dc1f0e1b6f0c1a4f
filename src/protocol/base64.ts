/** Base64 that is refused when it is broken: Node's own decoder leaves out what it does not know. */
import { Buffer } from "node:buffer";

/** Bytes that a base64 text stands for, padded or not. */
export function base64Length(text: string): number {
  let { length } = text;
  if (text.endsWith("==")) length -= 2;
  else if (text.endsWith("=")) length -= 1;
  return Math.floor((length * 3) / 4);
}

/** The bytes, or null when the text is not base64. */
export function bytesOfBase64(text: string): Buffer | null {
  const bytes = Buffer.from(text, "base64");
  return bytes.byteLength === base64Length(text) ? bytes : null;
}
