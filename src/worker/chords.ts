/**
 * Chords: a part that ended is counted with its result in one step; who counts the last one sends the body, or says that it
 * failed. Python: `on_chord_part_return`, `chord_error_from_stack`.
 *
 * The body's ids are fixed, so that one that is sent a second time, by the worker that took over, is the same task.
 */
import type { AppInternals } from "../app/internals.ts";
import type { ResultBackend } from "../backends/backend.ts";
import type { ChordOutcome, ChordStore } from "../backends/chords.ts";
import { derivedIds } from "../base/derived-id.ts";
import type { Logger } from "../base/logger.ts";
import type { Planned, SendParent } from "../canvas/sender.ts";
import { decodeException, exceptionInfo } from "../protocol/exceptions.ts";
import { parseJson, stringifyJson } from "../protocol/json.ts";
import { readSignature } from "../protocol/signature-data.ts";
import type { DecodedTask, ExceptionInfo, SignatureData } from "../protocol/wire.ts";
import { exceptionRepr } from "../task/retry.ts";
import type { StoredMessages, StoredWrite } from "../transports/transport.ts";
import type { Errbacks } from "./errbacks.ts";
import { parentOf } from "./follow-ups.ts";
import { errbacksOf, type NeverRun, neverRun } from "./never-run.ts";
import { failureState, type MetaMaker, revokedState, type StoredState } from "./outcome.ts";
import type { Revoked } from "./revoked.ts";
import type { Settler } from "./settler.ts";

export interface ChordsOptions {
  readonly app: AppInternals;
  readonly backend: ResultBackend;
  readonly settler: Settler;
  readonly metas: MetaMaker;
  readonly errbacks: Errbacks;
  readonly revoked: Pick<Revoked, "knows">;
  /** Aborted when nothing more is waited for. */
  readonly hurry: AbortSignal;
  readonly logger: Logger;
}

/** One part, with what it is a part of. */
interface Part {
  readonly group: string;
  readonly taskId: string;
  readonly index: number | null;
  readonly state: Pick<StoredState, "status" | "result">;
  readonly note: Note;
}

/** What it takes to end a chord. Kept with the chord while a worker does. */
interface Note {
  readonly body: SignatureData;
  /** The task that was counted last. */
  readonly parent: SendParent;
}

/** What errbacks of a body hear that was revoked itself. */
const REVOKED: ExceptionInfo = decodeException(revokedState("revoked").result, null);

const NOTE_LIMITS = { maxDepth: 250 };

export class Chords {
  readonly #options: ChordsOptions;
  readonly #store: ChordStore | null;

  constructor(options: ChordsOptions) {
    this.#options = options;
    this.#store = options.backend.chords;
  }

  /** Throws what makes the result of a part unfit to travel, before anything is sent for it. */
  check(task: DecodedTask, state: Part["state"]): void {
    if (task.group !== null)
      this.#store?.encodePart(task.group, { taskId: task.id, ...state }, task.groupIndex);
  }

  /**
   * Stores and counts the end of a task that is a part of a chord; when it was the last one, the body is sent. False: it
   * could not be stored, because the worker is in a hurry.
   */
  async ended(task: DecodedTask, state: Part["state"], write: StoredWrite | null): Promise<boolean> {
    const { chord } = task.embed;
    const { settler, logger } = this.#options;
    if (chord === null || task.group === null || this.#store === null) {
      if (this.#store === null)
        logger.error(
          { id: task.id, task: task.task },
          "a task is part of a chord, and this worker has no result backend to count it: its body will not run",
        );
      return write === null || settler.store(write, null);
    }
    const { id: taskId, group, groupIndex: index } = task;
    return this.#count({ group, taskId, index, state, note: { body: chord, parent: parentOf(task) } }, write);
  }

  /** Tasks that will not run fail, and with them the chords that wait for them. */
  async never(
    tasks: readonly NeverRun[],
    state: Part["state"] & { readonly traceback?: string | null },
    parent: SendParent,
  ): Promise<void> {
    const { settler, metas } = this.#options;
    if (!settler.storesResults) return;
    for (const { id, group, index, chord } of tasks) {
      const write = settler.encode(metas.bare(id, state));
      if (group === null || chord === null) await settler.store(write, null);
      else await this.#count({ group, taskId: id, index, state, note: { body: chord, parent } }, write);
    }
  }

  /** Of tasks that will not run, those that are revoked themselves, by their id or a stamp. */
  async revokedAmong(tasks: readonly NeverRun[]): Promise<ReadonlySet<NeverRun>> {
    const { revoked, hurry } = this.#options;
    const found = new Set<NeverRun>();
    for (const one of tasks) if (await revoked.knows(one, hurry)) found.add(one);
    return found;
  }

  /** Ends what other workers have left behind. */
  async sweep(): Promise<void> {
    if (this.#store === null) return;
    for (const { group, note, outcome } of await this.#store.overdue()) {
      this.#options.logger.warn(
        { group },
        "the worker that was to end a chord has not done so: this one does",
      );
      await this.#conclude(group, outcome, readNote(note)).catch((err: unknown) => this.#failed(group, err));
    }
  }

  async #count({ group, taskId, index, state, note }: Part, result: StoredWrite | null): Promise<boolean> {
    const store = this.#store;
    if (store === null) return true;
    const part = store.encodePart(group, { taskId, status: state.status, result: state.result }, index);
    const text = stringifyJson(note, "the body of a chord");
    const outcome = await this.#options.settler.persist(
      () => store.count(part, { result, note: text }),
      taskId,
    );
    if (outcome === null) return false;
    if (outcome.kind !== "waiting")
      await this.#conclude(group, outcome, note).catch((err: unknown) => this.#failed(group, err));
    return true;
  }

  async #conclude(group: string, outcome: ChordOutcome, note: Note): Promise<void> {
    const { app, settler } = this.#options;
    const { body, parent } = note;
    if (outcome.kind === "waiting") return;
    let error: ExceptionInfo | null = null;
    if (outcome.kind === "failed") {
      const { taskId, result } = outcome.part;
      error = chordError(`Dependency ${taskId} raised ${exceptionRepr(decodeException(result, null))}`);
    } else {
      try {
        const given = { args: [outcome.values], kwargs: {}, options: {} };
        const plan = await app.sender.plan(body, given, derivedIds(group, "body"));
        if (await this.#sendBody(group, { plan, parent, task: body.task })) return;
      } catch (err) {
        if (settler.hurried || err instanceof Unanswered) throw err;
        error = chordError(`Callback error: ${exceptionRepr(exceptionInfo(err, "builtins"))}`);
      }
    }
    if (error !== null) await this.#failBody(body, error, parent);
    await this.#options.settler.persist(async () => {
      await this.#store?.end(group);
      return true;
    }, group);
  }

  /** True: the chord is over with it. */
  async #sendBody(
    group: string,
    { plan, parent, task }: { readonly plan: Planned; readonly parent: SendParent; readonly task: string },
  ): Promise<boolean> {
    const { app, settler } = this.#options;
    const store = this.#store;
    let over = false;
    const handOver = async (messages: StoredMessages): Promise<boolean> => {
      const answer =
        store === null ? "elsewhere" : await settler.persist(() => store.push(group, messages), group);
      if (answer === null) throw new Unanswered("the result backend did not take the body of a chord");
      over = answer !== "elsewhere";
      return over;
    };
    await settler.send(() => app.publishThrough(handOver, plan, parent), { id: parent.id, task });
    return over;
  }

  async #failBody(body: SignatureData, error: ExceptionInfo, parent: SendParent): Promise<void> {
    const { logger, errbacks } = this.#options;
    const tasks = neverRun(body);
    logger.error(
      { task: body.task, id: tasks.at(-1)?.id ?? null },
      `a chord failed: ${String(error.args[0])}`,
    );
    const revoked = await this.revokedAmong(tasks);
    await this.never([...revoked], revokedState("revoked"), parent);
    const others = tasks.filter((one) => !revoked.has(one));
    await this.never(others, failureState(error), parent);
    const [first] = tasks;
    if (first === undefined) return;
    const failed = { id: first.id, rootId: first.id, priority: parent.priority };
    const told = revoked.has(first) ? REVOKED : error;
    await errbacks.call(errbacksOf(body), { failed, task: body.task, error: told, request: null });
  }

  #failed(group: string, err: unknown): void {
    this.#options.logger.error({ group, err }, "a chord could not be ended: a worker will try again");
  }
}

/** It stays with the chord whether its body was sent: a worker looks again when the lease is over. */
class Unanswered extends Error {}

function chordError(text: string): ExceptionInfo {
  const traceback = `celery.exceptions.ChordError: ${text}\n`;
  return { type: "ChordError", module: "celery.exceptions", args: [text], traceback };
}

function readNote(text: string): Note {
  const { body, parent } = parseJson(text, NOTE_LIMITS) as {
    readonly body: unknown;
    readonly parent: SendParent;
  };
  return { body: readSignature(body, "the body of a chord"), parent };
}
