/** Canvases without an app: short to write, short to read, and drawn at random. */

import { chained } from "../../../src/canvas/compose.ts";
import { bodyOf, chordData, groupData, headerOf, kindOf, tasksOf } from "../../../src/canvas/data.ts";
import type { SignatureData } from "../../../src/protocol/wire.ts";
import { seed } from "../../support/seed.ts";

export function task(name: string, ...args: readonly unknown[]): SignatureData {
  return { task: name, args, kwargs: {}, options: {}, subtask_type: null, immutable: false };
}

/** `(a | b)`: a chain; `[a, b]`: a group; `[a, b]>c`: a chord. */
export function shape(data: SignatureData): string {
  switch (kindOf(data)) {
    case "chain":
      return `(${tasksOf(data).map(shape).join(" | ")})`;
    case "group":
      return `[${tasksOf(data).map(shape).join(", ")}]`;
    case "chord":
      return `${shape(headerOf(data))}>${shape(bodyOf(data))}`;
    case "chunks":
    case "task":
      return data.task;
  }
}

let state = seed >>> 0;

/** Mulberry32. */
function random(): number {
  state = (state + 0x6d2b79f5) >>> 0;
  let mixed = Math.imul(state ^ (state >>> 15), state | 1);
  mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
}

function below(limit: number): number {
  return Math.floor(random() * limit);
}

/** Up to `most` signatures, nested to a depth of 3. */
export function drawn(most: number, depth = 3): readonly SignatureData[] {
  return Array.from({ length: 1 + below(most) }, () => drawnOne(depth));
}

export function drawnOne(depth: number): SignatureData {
  const kind = depth === 0 ? 0 : below(6);
  switch (kind) {
    case 3:
      return chained(drawn(3, depth - 1));
    case 4:
      return groupData(drawn(3, depth - 1));
    case 5:
      return chordData(drawn(3, depth - 1), drawnOne(depth - 1));
    default:
      return task("abcdefgh"[below(8)] ?? "a");
  }
}
