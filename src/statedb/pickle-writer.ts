/** The one pickle that workers exchange, `celery.utils.collections.LimitedSet`, written without a pickler. */
import { setImmediate as turn } from "node:timers/promises";
import { CLASS, MODULE } from "./pickle-reader.ts";

/** Items of one SETITEMS, as Python's pickler has it. */
const BATCH = 1000;
/** Of an item besides its text: opcode and length of the text, opcode and value of the float. */
const ITEM_BYTES = 14;
/** UTF-8 of one UTF-16 unit, at most. */
const UNIT_BYTES = 3;

const MARK = 0x28;
const BINUNICODE = 0x58;
const BINFLOAT = 0x47;
const SETITEMS = 0x75;

export interface LimitedSetParts {
  /** At least; more when there are more members. */
  readonly maxlen: number;
  /** Seconds. */
  readonly expires: number;
  /** Stamps in seconds. */
  readonly members: Iterable<readonly [id: string, stamp: number]>;
}

/** Protocol 2, which every Python 3 reads. Stamps become floats: Celery refuses an int. Other work has a turn after each batch. */
export async function writeLimitedSet({ maxlen, expires, members }: LimitedSetParts): Promise<Buffer> {
  const batches: Buffer[] = [];
  let batch: (readonly [string, number])[] = [];
  let count = 0;
  for (const member of members) {
    batch.push(member);
    count += 1;
    if (batch.length < BATCH) continue;
    batches.push(batchOf(batch));
    batch = [];
    await turn();
  }
  if (batch.length > 0) batches.push(batchOf(batch));
  const head = Buffer.concat([
    Buffer.from(`\x80\x02c${MODULE}\n${CLASS}\n(`, "latin1"),
    whole(Math.max(maxlen, count)),
    whole(expires),
    Buffer.from("}"),
  ]);
  return Buffer.concat([head, ...batches, whole(0), Buffer.from("tR.")]);
}

function batchOf(items: readonly (readonly [string, number])[]): Buffer {
  const units = items.reduce((sum, [id]) => sum + id.length, 0);
  const bytes = Buffer.allocUnsafe(2 + items.length * ITEM_BYTES + units * UNIT_BYTES);
  let at = bytes.writeUInt8(MARK, 0);
  for (const [id, stamp] of items) {
    const length = bytes.write(id, at + 5, "utf8");
    bytes.writeUInt8(BINUNICODE, at);
    bytes.writeUInt32LE(length, at + 1);
    bytes.writeUInt8(BINFLOAT, at + 5 + length);
    at = bytes.writeDoubleBE(stamp, at + 6 + length);
  }
  return bytes.subarray(0, bytes.writeUInt8(SETITEMS, at));
}

/** BININT: `LimitedSet` compares its bounds, whole numbers of 31 bits. */
function whole(value: number): Buffer {
  const bytes = Buffer.alloc(5);
  bytes.write("J", 0, "latin1");
  bytes.writeInt32LE(value, 1);
  return bytes;
}
