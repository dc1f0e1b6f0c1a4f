/** The commands of a worker: Celery's, and those of its app. Python: `celery.worker.control.Panel`. */
import { CONTROL_COMMANDS, type ControlCommandInfo, type OwnCommand } from "../../app/control-commands.ts";
import { type Arguments, checkArguments } from "./arguments.ts";
import { CommandError } from "./errors.ts";
import { EVENT_COMMANDS } from "./events.ts";
import { LIMIT_COMMANDS } from "./limits.ts";
import { POOL_COMMANDS } from "./pool.ts";
import { QUEUE_COMMANDS } from "./queues.ts";
import { REVOKE_COMMANDS } from "./revoke.ts";
import type { CommandGroup, ControlState } from "./state.ts";
import { TASK_COMMANDS } from "./tasks.ts";
import { WORKER_COMMANDS } from "./worker.ts";

const RUN: CommandGroup = {
  ...WORKER_COMMANDS,
  ...TASK_COMMANDS,
  ...REVOKE_COMMANDS,
  ...LIMIT_COMMANDS,
  ...EVENT_COMMANDS,
  ...POOL_COMMANDS,
  ...QUEUE_COMMANDS,
};

/** One command, ready to run. */
interface Entry {
  readonly info: ControlCommandInfo;
  readonly run: (state: ControlState, args: Arguments) => unknown;
}

/** Finds commands by their names and aliases. */
export class Panel {
  readonly #entries = new Map<string, Entry>();

  constructor(own: ReadonlyMap<string, OwnCommand>) {
    for (const info of CONTROL_COMMANDS.values()) {
      const run = RUN[info.name];
      if (run === undefined) throw new TypeError(`the command ${info.name} is listed and not there`);
      this.#entries.set(info.name, { info, run });
      if (info.alias !== null) this.#entries.set(info.alias, { info, run });
    }
    for (const { info, run } of own.values()) {
      this.#entries.set(info.name, {
        info,
        run: (state, args) => run(args, { hostname: state.context.settings.hostname }),
      });
    }
  }

  /**
   * Runs a command; its value is the reply.
   *
   * @throws CommandError, and whatever a command throws
   */
  run(method: string, state: ControlState, args: Arguments): unknown {
    const entry = this.#entries.get(method);
    // Python's error, of a dict without that key.
    if (entry === undefined) throw new CommandError("KeyError", method);
    const { info } = entry;
    if (info.type === "control" && state.context.settings.controlReadOnly) {
      throw new CommandError(
        "PermissionError",
        `${info.name} is switched off: this worker was started with --control-read-only`,
      );
    }
    checkArguments(info, args);
    return entry.run(state, args);
  }
}
