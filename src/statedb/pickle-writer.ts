/** The one pickle that workers exchange, `celery.utils.collections.LimitedSet`, written without a pickler. */
import { CLASS, MODULE, type PickledLimitedSet } from "./pickle-reader.ts";

/** Items of one SETITEMS, as Python's pickler has it. */
const BATCH = 1000;

/** Protocol 2, which every Python 3 reads. Stamps become floats: Celery refuses an int. */
export function writeLimitedSet(set: PickledLimitedSet): Uint8Array {
  const parts: Uint8Array[] = [
    Buffer.from(`\x80\x02c${MODULE}\n${CLASS}\n(`, "latin1"),
    pickledNumber(set.maxlen),
    set.expires === null ? Buffer.from("N") : float(set.expires),
    Buffer.from("}"),
  ];
  let inBatch = 0;
  for (const [id, stamp] of set.members) {
    if (inBatch === 0) parts.push(Buffer.from("("));
    parts.push(text(id), float(stamp));
    inBatch += 1;
    if (inBatch === BATCH) {
      parts.push(Buffer.from("u"));
      inBatch = 0;
    }
  }
  if (inBatch > 0) parts.push(Buffer.from("u"));
  parts.push(pickledNumber(set.minlen), Buffer.from("tR."));
  return Buffer.concat(parts);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, "utf8");
  const head = Buffer.alloc(5);
  head.write("X", 0, "latin1");
  head.writeUInt32LE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

function float(value: number): Buffer {
  const bytes = Buffer.alloc(9);
  bytes.write("G", 0, "latin1");
  bytes.writeDoubleBE(value, 1);
  return bytes;
}

/** BININT: `LimitedSet` compares its bounds, whole numbers of 31 bits. */
function pickledNumber(value: number): Buffer {
  const bytes = Buffer.alloc(5);
  bytes.write("J", 0, "latin1");
  bytes.writeInt32LE(value, 1);
  return bytes;
}
