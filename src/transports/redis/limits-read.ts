/** What limits are in use, for operators. */
import type { RedisSession } from "../../redis/session.ts";
import { type LimitRecord, type LimitState, type LimitWaiter, WAITERS_TOLD } from "../limits.ts";
import type { RedisKeys } from "./keys.ts";
import { limitArgs, limitKeys } from "./limits.ts";
import { READ } from "./scripts/limits.lua.ts";

/** Limits told of at most. */
const LIMITS_AT_MOST = 1000;
const FIELDS = 6;

type Part = string | readonly string[];

/** By name. */
export async function readLimits(session: RedisSession, keys: RedisKeys): Promise<readonly LimitState[]> {
  const reply = (await session.script(READ, {
    keys: limitKeys(keys),
    args: [...limitArgs(keys, 0), WAITERS_TOLD, LIMITS_AT_MOST],
  })) as readonly Part[];
  const states: { readonly name: string; readonly state: LimitState }[] = [];
  for (let at = 1; at + FIELDS <= reply.length; at += FIELDS) {
    const state = stateOf(reply.slice(at, at + FIELDS));
    if (state !== null) states.push({ name: String(reply[at]), state });
  }
  states.sort((a, b) => (a.name < b.name ? -1 : 1));
  return states.map((one) => one.state);
}

/** null: a record that nobody of us wrote. */
function stateOf([name, text, holders, waiting, waiters, arrival]: readonly Part[]): LimitState | null {
  const record = readRecord(String(text));
  if (record === null) return null;
  const { task, key, limit, perSecond } = record;
  const arrivalMs = arrival === "" ? null : Number(arrival) * 1000;
  return {
    kind: String(name).startsWith("r:") ? "rate" : "concurrency",
    task,
    key,
    limit,
    perSecond,
    holders: holders as readonly string[],
    waiting: Number(waiting),
    waiters: waitersOf(waiters as readonly string[]),
    freeAtMs: arrivalMs === null || perSecond === null ? null : arrivalMs - ((limit - 1) / perSecond) * 1000,
  };
}

function waitersOf(flat: readonly string[]): readonly LimitWaiter[] {
  const waiters: LimitWaiter[] = [];
  for (let at = 0; at + 2 < flat.length; at += 3) {
    const [id = "", since, until] = flat.slice(at, at + 3);
    waiters.push({ id, sinceMs: Number(since) * 1000, untilMs: until === "" ? null : Number(until) * 1000 });
  }
  return waiters;
}

function readRecord(text: string): LimitRecord | null {
  try {
    const value = JSON.parse(text) as Partial<LimitRecord> | null;
    const { task, key, limit, perSecond } = value ?? {};
    if (typeof task !== "string" || typeof key !== "string" || typeof limit !== "number") return null;
    return { task, key, limit, perSecond: typeof perSecond === "number" ? perSecond : null };
  } catch {
    return null;
  }
}
