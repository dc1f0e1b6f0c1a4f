/**
 * Canvas in Celery's JSON form: what a signature is, and what it is made of. Everything here may come from a broker, so
 * every part is checked when it is taken out. Python: `celery/canvas.py`, the `from_dict`s.
 */
import { DecodeError } from "../errors.ts";
import { readSignature } from "../protocol/signature-data.ts";
import type { SignatureData } from "../protocol/wire.ts";

/** `task`: sent as it is, maps too. The others are taken apart by the sender. */
export type Kind = "task" | "chain" | "group" | "chord" | "chunks";

const BY_NAME: ReadonlyMap<string, Kind> = new Map([
  ["celery.chain", "chain"],
  ["celery.group", "group"],
  ["celery.chord", "chord"],
  ["celery.chunks", "chunks"],
]);

type Options = Readonly<Record<string, unknown>>;

export function kindOf({ task, subtask_type: type }: Pick<SignatureData, "task" | "subtask_type">): Kind {
  return type === "chain" || type === "group" || type === "chord" || type === "chunks"
    ? type
    : (BY_NAME.get(task) ?? "task");
}

function composite(type: Exclude<Kind, "task">, kwargs: Options, options: Options): SignatureData {
  return { task: `celery.${type}`, args: [], kwargs, options, subtask_type: type, immutable: false };
}

export function chainData(tasks: readonly SignatureData[], options: Options = {}): SignatureData {
  return composite("chain", { tasks }, options);
}

export function groupData(tasks: readonly SignatureData[], options: Options = {}): SignatureData {
  return composite("group", { tasks }, options);
}

/** `header` may be a group, whose options stay, or a list. */
export function chordData(
  header: SignatureData | readonly SignatureData[],
  body: SignatureData,
  options: Options = {},
): SignatureData {
  return composite("chord", { kwargs: {}, header, body }, options);
}

/** `celery.map` or `celery.starmap`: one task that calls another for each item. */
export function mapData(
  type: "xmap" | "xstarmap",
  task: SignatureData,
  it: readonly unknown[],
): SignatureData {
  return {
    task: type === "xmap" ? "celery.map" : "celery.starmap",
    args: [],
    kwargs: { task, it },
    options: {},
    subtask_type: type,
    immutable: true,
  };
}

/** Parts of a chain or of a group. */
export function tasksOf(data: SignatureData): readonly SignatureData[] {
  return listOf(data.kwargs["tasks"], `the tasks of a ${kindOf(data)}`);
}

function listOf(value: unknown, where: string): readonly SignatureData[] {
  if (!Array.isArray(value)) throw new DecodeError(`${where} are not a list`);
  return value.map((member, index) => readSignature(member, `${where}, member ${index}`));
}

/** A chord's header, as a group. */
export function headerOf(data: SignatureData): SignatureData {
  const header = data.kwargs["header"];
  if (Array.isArray(header)) return groupData(listOf(header, "the header of a chord"));
  const one = readSignature(header, "the header of a chord");
  const kind = kindOf(one);
  if (kind === "group") return one;
  return groupData(kind === "chain" ? tasksOf(one) : [one]);
}

/** A chord's body. */
export function bodyOf(data: SignatureData): SignatureData {
  return readSignature(data.kwargs["body"], "the body of a chord");
}

/** `celery.chunks` as what is sent of it: a group of `celery.starmap`. */
export function chunksAsGroup(data: SignatureData): SignatureData {
  const { task, it, n } = data.kwargs;
  if (!Array.isArray(it)) throw new DecodeError("the items of chunks are not a list");
  if (typeof n !== "number" || !Number.isSafeInteger(n) || n < 1)
    throw new DecodeError(`the size of chunks must be a whole number of 1 or more, not ${String(n)}`);
  return groupData(chunked(readSignature(task, "the task of chunks"), it, n), data.options);
}

/** One `celery.starmap` for each `n` items. */
export function chunked(task: SignatureData, it: readonly unknown[], n: number): readonly SignatureData[] {
  const parts: SignatureData[] = [];
  for (let from = 0; from < it.length; from += n)
    parts.push(mapData("xstarmap", task, it.slice(from, from + n)));
  return parts;
}

/** The members of a group; groups inside it are part of it, in their place. */
export function membersOf(group: SignatureData): readonly SignatureData[] {
  const tasks = tasksOf(group);
  if (!tasks.some((task) => isGroup(task))) return tasks;
  return tasks.flatMap((task) => (isGroup(task) ? membersOf(asGroup(task)) : [task]));
}

function isGroup(data: SignatureData): boolean {
  const kind = kindOf(data);
  return kind === "group" || kind === "chunks";
}

/** Chunks become the group that they are; anything else stays. */
export function asGroup(data: SignatureData): SignatureData {
  return kindOf(data) === "chunks" ? chunksAsGroup(data) : data;
}

/** A group of one is its member; anything else stays. */
export function unrolled(data: SignatureData): SignatureData {
  const group = asGroup(data);
  if (kindOf(group) !== "group") return group;
  const tasks = tasksOf(group);
  return tasks.length === 1 ? unrolled(tasks[0] as SignatureData) : group;
}

/** Whether its result is that of a group: a list of several results, each under its own id. */
export function endsInGroup(data: SignatureData): boolean {
  switch (kindOf(data)) {
    case "task":
      return false;
    case "group":
    case "chunks":
      return true;
    case "chain": {
      const last = tasksOf(data).at(-1);
      return last !== undefined && endsInGroup(unrolled(last));
    }
    case "chord":
      return endsInGroup(bodyOf(data));
  }
}

/** How many results a chord's header gets from it. Python: `chord._descend`. */
export function sizeOf(data: SignatureData): number {
  switch (kindOf(data)) {
    case "task":
      return 1;
    case "group":
    case "chunks":
      return tasksOf(asGroup(data)).reduce((sum, task) => sum + sizeOf(task), 0);
    case "chain": {
      for (const task of tasksOf(data).toReversed()) {
        const size = sizeOf(task);
        if (size > 0) return size;
      }
      return 0;
    }
    case "chord":
      return sizeOf(bodyOf(data));
  }
}

/** With other options. */
export function withOptions(data: SignatureData, options: Options): SignatureData {
  return { ...data, options };
}
