/** Every command, as data: the parser, the help, the environment, the completion scripts and docs/cli.md read it. */

import { type CommandSpec, withJson } from "./option-types.ts";
import { BEAT } from "./specs/beat.ts";
import { DEAD, LIMITS, LIST, MIGRATE, PURGE, QUEUE } from "./specs/broker.ts";
import { DB } from "./specs/db.ts";
import { MULTI } from "./specs/multi.ts";
import { CONTROL, EVENTS, INSPECT, STATUS } from "./specs/remote.ts";
import { SCHEDULE } from "./specs/schedule.ts";
import { DEV, INIT } from "./specs/start.ts";
import { STATEDB } from "./specs/statedb.ts";
import { CALL, RESULT } from "./specs/tasks.ts";
import { COMPLETE, EXPLAIN, GRAPH, LOGTOOL, REPORT, SHELL } from "./specs/tools.ts";
import { WORKER } from "./specs/worker.ts";

/** In the order of the help. `--json` is on all. */
export const COMMANDS: readonly CommandSpec[] = [
  WORKER,
  BEAT,
  MULTI,
  CALL,
  RESULT,
  INSPECT,
  CONTROL,
  STATUS,
  EVENTS,
  LIST,
  PURGE,
  MIGRATE,
  QUEUE,
  LIMITS,
  SCHEDULE,
  DEAD,
  STATEDB,
  DB,
  REPORT,
  SHELL,
  GRAPH,
  LOGTOOL,
  DEV,
  INIT,
  EXPLAIN,
  COMPLETE,
].map(withJson);
