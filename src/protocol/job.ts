/** What crosses the border between a worker and its pool: plain data both ways. */
import type { ExceptionInfo } from "./wire.ts";

/** One execution. Plain data, so that it can cross a process border. */
export interface Job {
  readonly id: string;
  readonly task: string;
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
  /** `TaskRequest`'s data, plain. */
  readonly request: Readonly<Record<string, unknown>>;
  readonly softTimeLimitMs: number | null;
  readonly timeLimitMs: number | null;
}

/** What a running function asks of its parent. */
export interface JobPort {
  /** The function is about to run: early ack, `task-started`. */
  onStart(pid: number): void;
  /** `task.updateState`; resolves once stored. Never rejects. */
  updateState(state: string, meta: unknown): Promise<void>;
  /** Whether its execution is revoked. Not there: nobody knows here. */
  isRevoked?(): boolean;
  /** `task.sendEvent`; `fields` as `encodeOwnEvent` gives them. Nobody waits for an event. */
  sendEvent(type: string, fields: string): void;
  /** Keeps a line of the log of a task with `storeLogs`. Not there: nobody keeps any. */
  keepLog?(line: string): void;
}

/** Runs one job to its outcome inside a pool: `task/execute.ts`. Never rejects; a plain value when the function was synchronous. */
export type Execute = (job: Job, port: JobPort, abort: LazyAbort) => Promise<Outcome> | Outcome;

/** An AbortSignal that is only made when somebody asks for it. */
export interface LazyAbort {
  readonly signal: AbortSignal;
  readonly aborted: boolean;
  abort(reason: unknown): void;
}

/** How an execution ended. */
export type Outcome =
  | {
      readonly kind: "success";
      readonly value: unknown;
      readonly runtimeMs: number;
      readonly children: readonly unknown[];
    }
  | {
      readonly kind: "failure";
      readonly error: ExceptionInfo;
      readonly expected: boolean;
      readonly runtimeMs: number;
      readonly children: readonly unknown[];
    }
  | {
      readonly kind: "retry";
      /** Either a delay or an instant, ms. */
      readonly delayMs: number | null;
      readonly etaMs: number | null;
      readonly cause: ExceptionInfo | null;
      readonly reason: string;
      /** New args, kwargs and send options, by name; empty: as before. */
      readonly overrides: Readonly<Record<string, unknown>>;
      readonly children: readonly unknown[];
    }
  | { readonly kind: "replaced"; readonly signature: unknown; readonly children: readonly unknown[] }
  | { readonly kind: "rejected"; readonly requeue: boolean; readonly reason: string | null }
  | { readonly kind: "ignored"; readonly reason: string }
  | { readonly kind: "terminated"; readonly signal: NodeJS.Signals }
  | { readonly kind: "timed-out"; readonly limitMs: number }
  | { readonly kind: "lost"; readonly exitCode: number | null; readonly signal: NodeJS.Signals | null };
