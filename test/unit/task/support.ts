/** One task of an app, run without a worker. */
import { internalsOf } from "../../../src/app/internals.ts";
import type { CeleryOptions } from "../../../src/app/settings-types.ts";
import { silentLogger } from "../../../src/base/logger.ts";
import { Celery } from "../../../src/index.ts";
import { JobAbort } from "../../../src/pool/lazy-abort.ts";
import type { Job, JobPort, Outcome } from "../../../src/protocol/job.ts";
import { requestData } from "../../../src/task/context.ts";
import type { TaskRequest } from "../../../src/task/context-types.ts";
import { createExecute } from "../../../src/task/execute.ts";

/** What a port was told. */
export class NotingPort implements JobPort {
  starts = 0;
  readonly states: [state: string, meta: unknown][] = [];
  /** Held up until it resolves. */
  gate: Promise<void> = Promise.resolve();

  onStart(): void {
    this.starts += 1;
  }

  readonly events: [type: string, fields: string][] = [];
  sendEvent(type: string, fields: string): void {
    this.events.push([type, fields]);
  }

  async updateState(state: string, meta: unknown): Promise<void> {
    await this.gate;
    this.states.push([state, meta]);
  }
}

export interface RunOptions {
  readonly args?: readonly unknown[];
  readonly kwargs?: Readonly<Record<string, unknown>>;
  readonly request?: Partial<TaskRequest>;
  readonly softTimeLimitMs?: number;
}

export interface TaskRig {
  readonly app: Celery;
  readonly port: NotingPort;
  readonly abort: JobAbort;
  /** Runs one task. Not awaited: whether an outcome is a plain value is a fact of its own. */
  readonly run: (task: string, options?: RunOptions) => Promise<Outcome> | Outcome;
}

export function taskRig(options: CeleryOptions = {}): TaskRig {
  const app = new Celery("test", { brokerUrl: "memory://unit-task", logger: silentLogger, ...options });
  const internals = internalsOf(app);
  const port = new NotingPort();
  const abort = new JobAbort();
  return {
    app,
    port,
    abort,
    run(task, { args = [], kwargs = {}, request = {}, softTimeLimitMs } = {}) {
      void internals.finalize();
      const job: Job = {
        id: "id-1",
        task,
        args,
        kwargs,
        request: requestData({ id: "id-1", task, args, kwargs, ...request }),
        softTimeLimitMs: softTimeLimitMs ?? null,
        timeLimitMs: null,
      };
      return createExecute(internals)(job, port, abort);
    },
  };
}
