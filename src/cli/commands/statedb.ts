/** `petiole statedb`: what is kept of revoked tasks, looked at and cleaned up. Python has no counterpart. */
import { internalsOf } from "../../app/internals.ts";
import { openOperatorStateDb } from "../../app/state-db.ts";
import { PetioleError } from "../../errors.ts";
import type { Aged, StateDb } from "../../statedb/state-db.ts";
import type { ExitCode, Invocation } from "../io.ts";
import { jsonLine } from "../json-line.ts";
import { openApp } from "../open-app.ts";
import { wordOf } from "../words.ts";

/** What the option table reads for this command. */
interface StateDbCommandOptions {
  readonly statedb?: string;
  readonly redisStatedb?: string;
  readonly olderThan?: number;
  readonly limit?: number;
  readonly merge?: boolean;
  readonly json?: boolean;
}

const SHOWN = 50;

export async function statedb(invocation: Invocation): Promise<ExitCode> {
  const [action = "", ...names] = invocation.args;
  const run = wordOf(ACTIONS, action, "statedb");
  const app = await openApp(invocation, { needsModule: false });
  const internals = internalsOf(app);
  try {
    await internals.finalize();
    const words = invocation.options as StateDbCommandOptions;
    const db = await openOperatorStateDb(internals, words);
    if (db === null) {
      throw new PetioleError(
        "PET_USAGE",
        "no state DB is configured: give --redis-statedb=redis://… or --statedb, or set redis_statedb_url in the app",
      );
    }
    try {
      return await run(db, names, invocation);
    } finally {
      await db.stop();
    }
  } finally {
    await app.close();
  }
}

const ACTIONS = { list, show, purge, "forget-worker": forgetWorker };

async function list(db: StateDb, _names: readonly string[], { io, options }: Invocation): Promise<ExitCode> {
  const { nodes, shared } = await db.overview();
  if (options["json"] === true) {
    io.out(jsonLine({ location: db.location, shared, workers: nodes }));
    return 0;
  }
  io.out(`${db.location}\n`);
  if (shared !== null) io.out(`  shared by all workers: ${shared.ids} ids, ${shared.stamps} stamps\n`);
  for (const node of nodes) {
    const seen = node.seenMs === null ? "never seen by us" : `seen ${new Date(node.seenMs).toISOString()}`;
    const state = node.alive ? "alive" : seen;
    io.out(`  ${node.node}: ${node.ids} ids, ${node.stamps} stamps, clock ${node.clock}, ${state}\n`);
  }
  if (nodes.length === 0) io.out("  nothing is kept of any worker\n");
  return 0;
}

async function show(db: StateDb, names: readonly string[], { io, options }: Invocation): Promise<ExitCode> {
  const [node = null] = names;
  const { limit = SHOWN, json } = options as StateDbCommandOptions;
  const { ids, stamps } = await db.show(node, limit);
  const now = Date.now();
  const at = (age: number): string => new Date(now - age * 1000).toISOString();
  const rows = (aged: Aged, kind: "id" | "stamp"): { kind: "id" | "stamp"; member: string; at: string }[] =>
    [...aged].map(([member, age]) => ({ kind, member, at: at(age) }));
  const all = [...rows(ids, "id"), ...rows(stamps, "stamp")];
  for (const { kind, member, at: when } of all) {
    if (json === true)
      io.out(jsonLine({ [kind]: kind === "id" ? member : JSON.parse(member), revoked: when }));
    else io.out(`${when}  ${kind === "id" ? member : `stamp ${member}`}\n`);
  }
  if (all.length === 0 && json !== true)
    io.out(`Nothing is revoked ${node === null ? "for all workers" : `in ${node}`}.\n`);
  return 0;
}

async function purge(db: StateDb, names: readonly string[], { io, options }: Invocation): Promise<ExitCode> {
  const { olderThan, json } = options as StateDbCommandOptions;
  if (olderThan === undefined) {
    throw new PetioleError(
      "PET_USAGE",
      "purge needs --older-than, such as --older-than 30d: what is older is no longer revoked",
    );
  }
  const [node = null] = names;
  const purged = await db.purge({ olderThanSeconds: olderThan, node });
  io.out(json === true ? jsonLine({ purged }) : `${purged} no longer revoked.\n`);
  return 0;
}

async function forgetWorker(
  db: StateDb,
  names: readonly string[],
  { io, options }: Invocation,
): Promise<ExitCode> {
  if (names.length === 0) {
    throw new PetioleError(
      "PET_USAGE",
      "forget-worker takes the names of workers, as petiole statedb list shows them",
    );
  }
  const { merge, json } = options as StateDbCommandOptions;
  let code: ExitCode = 0;
  for (const worker of names) {
    const { found, merged } = await db.forget(worker, { merge: merge !== false });
    if (!found) code = 1;
    if (json === true) io.out(jsonLine({ worker, found, merged }));
    else if (found) io.out(`${worker} is forgotten; ${merged} of its revokes are shared now.\n`);
    else io.out(`Nothing is kept of ${worker}.\n`);
  }
  return code;
}
