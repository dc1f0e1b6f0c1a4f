/** Signatures in Celery's JSON form, as they stand in messages and results. */
import { DecodeError } from "../errors.ts";
import type { SignatureData } from "./wire.ts";

type Unread = Readonly<Record<string, unknown>>;

/**
 * A list of signatures; a single one is taken for a list of one, as Celery does. null: none.
 *
 * @param where - names the list in an error
 * @throws DecodeError
 */
export function readSignatures(value: unknown, where: string): readonly SignatureData[] | null {
  if (value === null || value === undefined) return null;
  if (!Array.isArray(value)) return [readSignature(value, where)];
  if (value.length === 0) return null;
  return value.map((member, index) => readSignature(member, `${where}[${index}]`));
}

/**
 * One signature; what may be missing is filled in. One that lacks nothing is given back as it is: canvases of thousands are read
 * several times on their way.
 *
 * @param where - names it in an error
 * @throws DecodeError
 */
export function readSignature(value: unknown, where: string): SignatureData {
  if (isWhole(value)) return value;
  const data = object(value, where);
  const { task, subtask_type: subtaskType } = data;
  if (typeof task !== "string" || task === "") {
    throw new DecodeError(`${where} is not a signature: its task is not a text`);
  }
  const args = data["args"] ?? [];
  if (!Array.isArray(args)) throw new DecodeError(`${where} is not a signature: its args are not an array`);
  return {
    ...data,
    task,
    args,
    kwargs: object(data["kwargs"] ?? {}, `${where}.kwargs`),
    options: object(data["options"] ?? {}, `${where}.options`),
    subtask_type: typeof subtaskType === "string" ? subtaskType : null,
    immutable: data["immutable"] === true,
  };
}

function isWhole(value: unknown): value is SignatureData {
  if (!isObject(value)) return false;
  const { task, args, kwargs, options, subtask_type: type, immutable } = value;
  return (
    typeof task === "string" &&
    task !== "" &&
    Array.isArray(args) &&
    isObject(kwargs) &&
    isObject(options) &&
    (type === null || typeof type === "string") &&
    typeof immutable === "boolean"
  );
}

function isObject(value: unknown): value is Unread {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function object(value: unknown, where: string): Unread {
  if (!isObject(value)) throw new DecodeError(`${where} is not an object`);
  return value;
}
