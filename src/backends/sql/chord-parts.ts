/** The parts of a chord as they are stored, and what they come to: those of Petiole's workers, and the results of Python's. */

import { parseJson, stringifyJson } from "../../protocol/json.ts";
import { pythonJson } from "../../protocol/python-json.ts";
import {
  groupTuple,
  type ResultNode,
  type ResultTuple,
  readResultTuple,
  resultTuple,
  writeResultTuple,
} from "../../protocol/result-tuple.ts";
import { isReady } from "../../protocol/states.ts";
import type { Limits } from "../../protocol/wire.ts";
import { sql } from "../../sql/query.ts";
import { type ChordOutcome, type ChordPart, outcomeOf, type PartWrite } from "../chords.ts";
import type { ResultCodec } from "../result-codec.ts";
import type { ResultDb } from "./own-tables.ts";
import { columnId, type RowCodec } from "./rows.ts";
import { readGroup, readTasks } from "./statements.ts";

export interface ChordPartsOptions {
  /** Of parts, which only Petiole reads. */
  readonly codec: ResultCodec;
  readonly rows: RowCodec;
  readonly limits: Limits;
}

const WAITING: ChordOutcome = { kind: "waiting" };

export class ChordParts {
  readonly #options: ChordPartsOptions;

  constructor(options: ChordPartsOptions) {
    this.#options = options;
  }

  /** @throws EncodeError */
  encode(part: ChordPart): string | Buffer {
    return this.#options.codec.encodePart(part);
  }

  /** @throws BackendError when a part cannot be read */
  async outcome(
    db: ResultDb,
    group: string,
    subTasks: string,
  ): Promise<{ readonly outcome: ChordOutcome; readonly missing: number }> {
    const rows = await db
      .selectFrom("petiole_chord_part")
      .select(["task_id", "value"])
      .where("group_id", "=", columnId(group))
      .orderBy(sql`CASE WHEN place IS NULL THEN 1 ELSE 0 END`)
      .orderBy("place")
      .orderBy(sql.ref("id"))
      .execute();
    const parts = new Map<string, ChordPart>();
    for (const { task_id, value } of rows)
      if (value !== null) parts.set(task_id, this.#options.codec.decodePart(storedText(value), group));
    const header = await this.#header(db, group, subTasks);
    const announced = rows.filter((row) => row.value === null).length;
    if (header.length === 0) {
      const all = [...parts.values()];
      return { outcome: announced > 0 ? WAITING : outcomeOf(all, all.length, null), missing: announced };
    }
    const leaves = new Set(header.flatMap(leavesOf));
    await this.#readOthers(db, leaves, parts);
    const added = rows.filter(({ task_id, value }) => value !== null && !leaves.has(task_id));
    const tree = groupTuple(group, [
      ...header.map(writeResultTuple),
      ...added.map(({ task_id }): ResultTuple => resultTuple(parts.get(task_id)?.taskId ?? task_id)),
    ]);
    const missing = [...leaves].filter((id) => !parts.has(id)).length + announced;
    const outcome = missing > 0 ? WAITING : outcomeOf([...parts.values()], 0, tree);
    return { outcome, missing };
  }

  /** Parts that another kind of worker has ended: their results. */
  async #readOthers(db: ResultDb, leaves: ReadonlySet<string>, parts: Map<string, ChordPart>): Promise<void> {
    const { rows, limits } = this.#options;
    const others = [...leaves].filter((id) => !parts.has(id));
    if (others.length === 0) return;
    for (const [id, row] of await readTasks(db, others, limits.maxDecompressedBytes)) {
      if (!isReady(row.status)) continue;
      const { status, result } = rows.decode(row, id);
      parts.set(id, { taskId: id, status, result });
    }
  }

  /** As the chord was begun; else as its group was saved. */
  async #header(db: ResultDb, group: string, subTasks: string): Promise<readonly ResultNode[]> {
    const { rows, limits } = this.#options;
    const value = parseJson(subTasks, limits);
    if (Array.isArray(value) && value.length === 0) {
      const saved = await readGroup(db, columnId(group));
      return saved === null ? [] : (readResultTuple(rows.decodeGroup(saved, group))?.children ?? []);
    }
    return Array.isArray(value) ? value.flatMap((one) => readResultTuple(one) ?? []) : [];
  }
}

/** `sub_tasks` of a chord. */
export function subTasksOf(members: readonly ResultNode[]): string {
  return pythonJson(stringifyJson(members.map(writeResultTuple), "the header of a chord"));
}

function leavesOf(node: ResultNode): readonly string[] {
  return node.children === null ? [columnId(node.id)] : node.children.flatMap(leavesOf);
}

/** Binary parts, as base64 with a mark that no JSON begins with. */
const BINARY = "=";

export function textOf({ text }: PartWrite): string {
  return typeof text === "string" ? text : BINARY + text.toString("base64");
}

function storedText(value: string): string | Buffer {
  return value.startsWith(BINARY) ? Buffer.from(value.slice(1), "base64") : value;
}
