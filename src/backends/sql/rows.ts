/**
 * Between results and the rows of django-celery-results, with its encodings. Python: `django_celery_results.backends.database`.
 *
 * | column                  | holds                                                                                    |
 * |-------------------------|------------------------------------------------------------------------------------------|
 * | result                  | the value, by `result_serializer`; base64 where that gives bytes                         |
 * | meta                    | `{"children": […]}`, after the keys of the message's header `meta`                       |
 * | task_args, task_kwargs  | the texts `argsrepr`, `kwargsrepr`, written as the result is; with `result_extended`     |
 * | date_done               | when it ended; of a state that is not ready, when it was stored                          |
 * | date_started            | when STARTED was stored; later states keep it                                            |
 */
import { createHash } from "node:crypto";
import { EncodeError } from "../../errors.ts";
import { parseIso } from "../../protocol/iso8601.ts";
import { pythonJson } from "../../protocol/python-json.ts";
import { deserialize, serialize } from "../../protocol/serialization.ts";
import { isReady } from "../../protocol/states.ts";
import type { DecodedTask, Limits, ResultMeta } from "../../protocol/wire.ts";
import type { SqlTime, TaskResultTable } from "../../sql/tables.ts";
import { normalTime, sqlTime } from "../../sql/time.ts";
import { unreadable } from "../result-codec.ts";

/** A row of `django_celery_results_taskresult` but its dates, which are those of the write. */
export type TaskRow = Omit<TaskResultTable, "id" | "date_done" | "date_created" | "date_started"> & {
  /** null: when it is written. */
  readonly done: SqlTime | null;
};

/** What a reading gives: texts are null where together they are beyond the limit. */
export interface ReadRow
  extends Omit<
    TaskResultTable,
    "id" | "date_created" | "date_started" | "content_type" | "content_encoding"
  > {
  readonly content_type: string;
  readonly content_encoding: string;
  /** Bytes of all texts. */
  readonly size: number | string | bigint | null;
}

export interface Content {
  readonly text: string;
  readonly type: string;
  readonly encoding: string;
}

const ID_LENGTH = 255;
const STATUS_LENGTH = 50;
const NAME_LENGTH = 255;
const WORKER_LENGTH = 100;

/** An id as the columns take it: one that is too long, or that the database cannot hold, by its digest. */
export function columnId(id: string): string {
  if (id.length <= ID_LENGTH && !id.includes("\0")) return id;
  const digest = createHash("sha256").update(id).digest("hex");
  return `${id.slice(0, ID_LENGTH - digest.length - 1).replaceAll("\0", "")}~${digest}`;
}

export interface RowCodecOptions {
  readonly serializer: string;
  readonly accept: readonly string[];
  readonly limits: Limits;
}

export class RowCodec {
  readonly #options: RowCodecOptions;

  constructor(options: RowCodecOptions) {
    this.#options = options;
  }

  /** @throws EncodeError */
  content(value: unknown, where: string): Content {
    const { body, contentType, contentEncoding } = serialize(value, this.#options.serializer, where);
    return { text: columnText(body, contentType), type: contentType, encoding: contentEncoding };
  }

  /** @throws EncodeError */
  encode(meta: ResultMeta): TaskRow {
    if (meta.status.length > STATUS_LENGTH)
      throw new EncodeError(
        `the state ${JSON.stringify(meta.status.slice(0, 80))} has more than ${STATUS_LENGTH} characters: the table of results takes no longer one`,
      );
    const { text, type, encoding } = this.content(meta.result, "the result");
    const { task } = meta;
    return {
      task_id: columnId(meta.taskId),
      status: withoutNul(meta.status),
      content_type: type,
      content_encoding: encoding,
      result: text,
      traceback: meta.traceback === null ? null : withoutNul(meta.traceback),
      meta: this.#meta(meta.children, task?.headers["meta"]),
      ...(task !== undefined && "name" in meta.extra ? this.#extended(meta.extra, task) : NOT_EXTENDED),
      done: meta.dateDone === null ? null : timeOf(meta.dateDone),
    };
  }

  #meta(children: readonly unknown[] | null, own: unknown): string {
    if (typeof own === "object" && own !== null && !Array.isArray(own))
      return this.content({ ...own, children }, "the header `meta`").text;
    if (this.#options.serializer === "json" && (children === null || children.length === 0))
      return children === null ? '{"children": null}' : '{"children": []}';
    return this.content({ children }, "the children").text;
  }

  #extended(extra: ResultMeta["extra"], task: DecodedTask): Extended {
    const periodic = task.headers["periodic_task_name"];
    return {
      task_args: this.content(task.argsrepr ?? task.args, "the arguments").text,
      task_kwargs: this.content(task.kwargsrepr ?? task.kwargs, "the keyword arguments").text,
      task_name: cut(task.task, NAME_LENGTH),
      worker: typeof extra["worker"] === "string" ? cut(extra["worker"], WORKER_LENGTH) : null,
      periodic_task_name: typeof periodic === "string" ? cut(periodic, NAME_LENGTH) : null,
    };
  }

  /** @throws BackendError when it cannot be read */
  decode(row: ReadRow, taskId: string): ResultMeta {
    try {
      this.#checkSize(row);
      const { children = null, ...more } = this.#object(this.read(row, row.meta) ?? {});
      const extra: Record<string, unknown> = more;
      if (row.task_name !== null) extra["name"] = row.task_name;
      if (row.task_args !== null) extra["args"] = this.#lenient(row, row.task_args);
      if (row.task_kwargs !== null) extra["kwargs"] = this.#lenient(row, row.task_kwargs);
      if (row.worker !== null) extra["worker"] = row.worker;
      if (row.periodic_task_name !== null) extra["periodic_task_name"] = row.periodic_task_name;
      return {
        taskId,
        status: row.status,
        result: this.read(row, row.result),
        traceback: row.traceback,
        children: Array.isArray(children) ? children : null,
        dateDone: isReady(row.status) ? isoOf(row.date_done) : null,
        extra,
      };
    } catch (error) {
      throw unreadable("a result", taskId, error);
    }
  }

  /** The tuple of a saved group. @throws BackendError when it cannot be read */
  decodeGroup(row: Pick<ReadRow, "content_type" | "content_encoding" | "result">, id: string): unknown {
    try {
      return this.read(row, row.result);
    } catch (error) {
      throw unreadable("a group", id, error);
    }
  }

  /** A value of a column. @throws DecodeError, SecurityError */
  read(how: Pick<ReadRow, "content_type" | "content_encoding">, text: string | null): unknown {
    if (text === null || text === "") return null;
    const { accept, limits } = this.#options;
    const options = { contentType: how.content_type, contentEncoding: how.content_encoding, accept, limits };
    return deserialize(how.content_encoding === "binary" ? Buffer.from(text, "base64") : text, options);
  }

  /** As Python: arguments that cannot be read are given as they are stored. */
  #lenient(row: ReadRow, text: string): unknown {
    try {
      return this.read(row, text);
    } catch {
      return text;
    }
  }

  #object(value: unknown): Readonly<Record<string, unknown>> {
    if (typeof value !== "object" || value === null || Array.isArray(value))
      throw new TypeError("its meta is not an object");
    return value as Readonly<Record<string, unknown>>;
  }

  #checkSize({ size }: ReadRow): void {
    const { maxDecompressedBytes } = this.#options.limits;
    if (Number(size) > maxDecompressedBytes)
      throw new RangeError(`it has ${size} bytes, and at most ${maxDecompressedBytes} are read`);
  }
}

type Extended = Pick<TaskRow, "task_args" | "task_kwargs" | "task_name" | "worker" | "periodic_task_name">;

const NOT_EXTENDED: Extended = Object.freeze({
  task_args: null,
  task_kwargs: null,
  task_name: null,
  worker: null,
  periodic_task_name: null,
});

function columnText(body: string | Uint8Array, contentType: string): string {
  if (typeof body !== "string") return Buffer.from(body).toString("base64");
  return contentType === "application/json" ? pythonJson(body) : withoutNul(body);
}

function cut(text: string, length: number): string {
  return withoutNul(text.length > length ? text.slice(0, length) : text);
}

/** PostgreSQL's texts have no NUL. */
export function withoutNul(text: string): string {
  return text.includes("\0") ? text.replaceAll("\0", "\\x00") : text;
}

function timeOf(iso: string): SqlTime {
  return iso.endsWith("+00:00") ? normalTime(iso) : sqlTime(parseIso(iso));
}

function isoOf(time: SqlTime): string {
  return `${time.replace(" ", "T")}+00:00`;
}
