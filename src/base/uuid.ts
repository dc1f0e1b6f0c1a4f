/** Ids. `crypto.randomUUID` leaves half a kilobyte of string pieces behind for each; this leaves the id alone. */
import { Buffer } from "node:buffer";
import { randomFillSync } from "node:crypto";

/** So many ids are made at once: one id is then only cut out, also in a process that has not sent enough to be compiled. */
const IDS = 128;
const LENGTH = 36;
const random = Buffer.allocUnsafeSlow(16 * IDS);
/** `xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx`, one after the other; the dashes stay, the digits are written over. */
const texts = Buffer.alloc(LENGTH * IDS, "-");
/** Where the next id begins. */
let next = texts.length;

const HIGH = new Uint8Array(256);
const LOW = new Uint8Array(256);
for (let byte = 0; byte < 256; byte += 1) {
  const hex = byte.toString(16).padStart(2, "0");
  HIGH[byte] = hex.charCodeAt(0);
  LOW[byte] = hex.charCodeAt(1);
}

/** A new random UUID, version 4, from the system's secure generator. */
export function uuid4(): string {
  if (next === texts.length) refill();
  const from = next;
  next += LENGTH;
  return texts.toString("latin1", from, next);
}

function refill(): void {
  randomFillSync(random);
  next = 0;
  let to = 0;
  for (let at = 0; at < random.length; at += 1) {
    const index = at & 15;
    let byte = random[at] ?? 0;
    if (index === 6) byte = (byte & 0x0f) | 0x40;
    else if (index === 8) byte = (byte & 0x3f) | 0x80;
    if (index === 4 || index === 6 || index === 8 || index === 10) to += 1;
    texts[to] = HIGH[byte] ?? 0;
    texts[to + 1] = LOW[byte] ?? 0;
    to += 2;
  }
}
