/** Ids. `crypto.randomUUID` leaves half a kilobyte of string pieces behind for each; this leaves the id alone. */
import { Buffer } from "node:buffer";
import { randomFillSync } from "node:crypto";

/** Random bytes are fetched for so many ids at once. */
const IDS = 128;
const random = Buffer.allocUnsafeSlow(16 * IDS);
/** Bytes that are used up. */
let used = random.length;

/** `xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx`; the dashes stay, the digits are written over. */
const text = Buffer.alloc(36, "-");
const HIGH = new Uint8Array(256);
const LOW = new Uint8Array(256);
for (let byte = 0; byte < 256; byte += 1) {
  const hex = byte.toString(16).padStart(2, "0");
  HIGH[byte] = hex.charCodeAt(0);
  LOW[byte] = hex.charCodeAt(1);
}

/** A new random UUID, version 4, from the system's secure generator. */
export function uuid4(): string {
  if (used === random.length) {
    randomFillSync(random);
    used = 0;
  }
  let to = 0;
  for (let index = 0; index < 16; index += 1) {
    let byte = random[used + index] ?? 0;
    if (index === 6) byte = (byte & 0x0f) | 0x40;
    else if (index === 8) byte = (byte & 0x3f) | 0x80;
    if (index === 4 || index === 6 || index === 8 || index === 10) to += 1;
    text[to] = HIGH[byte] ?? 0;
    text[to + 1] = LOW[byte] ?? 0;
    to += 2;
  }
  used += 16;
  return text.toString("latin1", 0, 36);
}
