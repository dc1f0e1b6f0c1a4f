/**
 * Takes messages: which lists, how many, and what the reply means. Up to three calls are in flight; each has a number of its
 * own, so that a call that is sent again takes nothing twice (`scripts/fetch.lua.ts`).
 */
import { Linked, LinkedSet } from "../../base/linked-set.ts";
import { decodeEnvelope } from "../../protocol/envelope.ts";
import type { Limits } from "../../protocol/wire.ts";
import type { RedisArg, RedisConnection } from "../../redis/connection.ts";
import { type RedisError, replyError } from "../../redis/errors.ts";
import type { Call, CallQueue } from "./calls.ts";
import { type FetchedCall, type HoldFields, type Holds, RedisDelivery } from "./holds.ts";
import type { RedisKeys } from "./keys.ts";
import type { RedisTransportSettings } from "./options.ts";
import { FETCH } from "./scripts/fetch.lua.ts";
import { nodePrefix } from "./tags.ts";
import { parseUnackedValue } from "./unacked-value.ts";

/** What one reply says. */
export interface Fetched {
  /** Not read yet: see `RedisDelivery.read`. */
  readonly deliveries: readonly RedisDelivery[];
  readonly dead: readonly { readonly queue: string; readonly reason: string; readonly raw: string }[];
  /** Every list was found empty. */
  readonly drained: boolean;
  /** It had waited in the server, and a message did come. */
  readonly tooLate: boolean;
  readonly serverTimeMs: number;
  /** Time of the next parked message, ms, and its tag. */
  readonly parked: { readonly atMs: number; readonly tag: string } | null;
}

export interface FetcherOptions {
  readonly settings: RedisTransportSettings;
  readonly keys: RedisKeys;
  readonly node: string;
  readonly holds: Holds;
  readonly calls: CallQueue;
  readonly limits: Limits;
  readonly defaultQueue: string;
  /** A call that is sent again may take something: the consumer is not paused. */
  readonly mayTake: () => boolean;
  readonly onFetched: (fetched: Fetched) => void;
  readonly onRefused: (error: RedisError) => void;
}

/** Longest text of an unacked fence, ms. */
const FENCE_TTL_MS = 86_400_000;

/** Lists of one order of queues, most urgent step first. */
interface Lists {
  readonly queues: readonly string[];
  readonly keys: readonly string[];
  /** JSON of each queue's name. */
  readonly names: readonly string[];
}

export class Fetcher {
  readonly #options: FetcherOptions;
  readonly #prefix: string;
  readonly #fixed: readonly string[];
  readonly #strict: string;
  /** One per queue that a pass may start with. */
  #rotations: (Lists | null)[] = [];
  #queues: readonly string[] = [];
  /** Those that are paused, as far as replies have told. */
  #paused: ReadonlySet<string> = new Set();
  /** The queue after the one that gave the last message. */
  #next = 0;
  #call = 0;
  #inFlight = new LinkedSet<FetchCall>();
  /** Messages that calls in flight may bring. */
  requested = 0;

  constructor(options: FetcherOptions) {
    this.#options = options;
    const { keys, node, defaultQueue, settings } = options;
    this.#prefix = nodePrefix(node);
    this.#fixed = [
      keys.unacked,
      keys.index,
      keys.lease,
      keys.parked,
      keys.dead(defaultQueue),
      keys.fence(node),
      keys.paused,
    ];
    this.#strict = settings.queueOrderStrategy === "round_robin" ? "" : "1";
  }

  get inFlight(): number {
    return this.#inFlight.size;
  }

  get queues(): readonly string[] {
    return this.#queues;
  }

  /** Every list that is watched: of a paused queue the one that says when it is resumed. */
  get lists(): readonly string[] {
    if (this.#paused.size === 0) return this.#rotation(0).keys;
    const { keys } = this.#options;
    const open = this.#queues.filter((queue) => !this.#paused.has(queue));
    return [...this.#listsOf(open).keys, ...[...this.#paused].map((queue) => keys.resumed(queue))];
  }

  setQueues(names: readonly string[]): void {
    const unique = [...new Set(names)];
    if (this.#options.settings.queueOrderStrategy === "sorted") unique.sort();
    this.#queues = unique;
    this.#rotations = unique.map(() => null);
    this.#paused = new Set([...this.#paused].filter((queue) => unique.includes(queue)));
    this.#next = 0;
  }

  /** Asks for `n` messages (0: only releases parked ones that are due); `only`: of the queues that have one of these lists. */
  fetch(n: number, only: readonly string[] | null = null): void {
    this.#options.calls.issue(this.prepare(n, only));
  }

  /** The same, for somebody else to send: `waiting-fetch.ts`. */
  prepare(n: number, only: readonly string[] | null = null): FetchCall {
    const lists = this.#choose(only);
    this.#call += 1;
    const call = new FetchCall(this, {
      call: this.#call,
      n,
      lists,
      fetched: this.#options.holds.announce(this.#call, n),
    });
    this.#inFlight.add(call);
    this.requested += n;
    return call;
  }

  /** What a prepared call took, if anything, is asked for; from now on it takes nothing. */
  learn(call: FetchCall): void {
    call.takes = false;
    this.#options.calls.issue(call);
  }

  /** The call's arguments. A call that was sent before and must take nothing now still learns what it took then. */
  send({ fields: call, takes }: FetchCall, connection: RedisConnection): Promise<unknown> {
    const { settings, limits, keys } = this.#options;
    const { lists } = call;
    const args: RedisArg[] = [
      this.#prefix,
      call.call,
      takes && this.#options.mayTake() ? call.n : 0,
      call.n,
      settings.fetchBytes,
      settings.leaseMs / 1000,
      settings.sep,
      FENCE_TTL_MS,
      lists.queues.length,
      this.#strict,
      limits.maxMessageBytes,
      keys.prefix,
      ...lists.names,
    ];
    return connection.script(FETCH, { keys: [...this.#fixed, ...lists.keys], args });
  }

  answered(call: FetchCall, reply: unknown): void {
    this.#end(call);
    this.#options.onFetched(this.#read(call, reply as (string | number)[]));
  }

  refused(call: FetchCall, error: RedisError): void {
    this.#end(call);
    this.#options.holds.answered(call.fields.fetched, 0);
    this.#options.onRefused(error);
  }

  #end(call: FetchCall): void {
    if (this.#inFlight.delete(call)) this.requested -= call.fields.n;
  }

  #choose(only: readonly string[] | null): Lists {
    const { queueOrderStrategy } = this.#options.settings;
    const count = this.#queues.length;
    const start =
      queueOrderStrategy === "round_robin" && count > 0 ? (this.#next + this.inFlight) % count : 0;
    if (only === null || count === 1) return this.#rotation(start);
    const wanted = new Set(only);
    const { keys } = this.#options;
    const rotated = [...this.#queues.slice(start), ...this.#queues.slice(0, start)];
    return this.#listsOf(
      rotated.filter(
        (queue) => wanted.has(keys.resumed(queue)) || keys.lists(queue).some((list) => wanted.has(list)),
      ),
    );
  }

  #rotation(start: number): Lists {
    const known = this.#rotations[start];
    if (known) return known;
    const lists = this.#listsOf([...this.#queues.slice(start), ...this.#queues.slice(0, start)]);
    this.#rotations[start] = lists;
    return lists;
  }

  #listsOf(queues: readonly string[]): Lists {
    const { keys } = this.#options;
    return {
      queues,
      keys: keys.steps.flatMap((step) => queues.map((queue) => keys.list(queue, step))),
      names: queues.map((queue) => JSON.stringify(queue)),
    };
  }

  #notePaused({ queues }: Lists, paused: readonly string[] | null): void {
    const others = [...this.#paused].filter((queue) => !queues.includes(queue));
    const here = (paused ?? []).filter((queue) => this.#queues.includes(queue));
    this.#paused = new Set([...others, ...here]);
  }

  #read({ fields: call, tooLate }: FetchCall, reply: readonly (string | number)[]): Fetched {
    const serverTimeMs = msOf(String(reply[0]));
    const status = reply[3];
    const builder = new ReplyBuilder(this.#options, `${this.#prefix}${call.call}:`, { call, serverTimeMs });
    if (status === "r") builder.readReplay(reply);
    else {
      builder.read(reply);
      if (builder.paused !== null || this.#paused.size > 0) this.#notePaused(call.lists, builder.paused);
    }
    const last = builder.lastQueue;
    if (last !== null) this.#next = (this.#queues.indexOf(last) + 1) % Math.max(1, this.#queues.length);
    const eta = String(reply[1]);
    return {
      deliveries: builder.deliveries,
      dead: builder.dead,
      drained: status === "0",
      tooLate,
      serverTimeMs,
      parked: eta === "" ? null : { atMs: msOf(eta), tag: String(reply[2]) },
    };
  }
}

interface FetchFields {
  readonly call: number;
  readonly n: number;
  readonly lists: Lists;
  readonly fetched: FetchedCall;
}

export class FetchCall extends Linked implements Call {
  readonly name = "fetch";
  readonly fields: FetchFields;
  /** false: only to learn what an earlier copy took. Written by `Fetcher.learn`. */
  takes = true;
  /** See `Fetched`. Written by who sends it. */
  tooLate = false;
  readonly #fetcher: Fetcher;

  constructor(fetcher: Fetcher, fields: FetchFields) {
    super();
    this.#fetcher = fetcher;
    this.fields = fields;
  }

  send(connection: RedisConnection): Promise<unknown> {
    return this.#fetcher.send(this, connection);
  }

  onReply(reply: unknown): void {
    this.#fetcher.answered(this, reply);
  }

  onError(error: RedisError): void {
    this.#fetcher.refused(this, error);
  }

  /** What it took comes back when its lease ends. */
  onDropped(): void {}
}

/** Turns a reply's flat list into deliveries. */
class ReplyBuilder {
  readonly deliveries: RedisDelivery[] = [];
  readonly dead: { queue: string; reason: string; raw: string }[] = [];
  lastQueue: string | null = null;
  /** null: none. */
  paused: string[] | null = null;
  readonly #options: FetcherOptions;
  /** What stands before a message's index in its tag. */
  readonly #prefix: string;
  readonly #call: FetchFields;
  readonly #serverTimeMs: number;

  constructor(
    options: FetcherOptions,
    prefix: string,
    of: { readonly call: FetchFields; readonly serverTimeMs: number },
  ) {
    this.#options = options;
    this.#prefix = prefix;
    this.#call = of.call;
    this.#serverTimeMs = of.serverTimeMs;
  }

  read(reply: readonly (string | number)[]): void {
    const { holds, keys, onRefused } = this.#options;
    const call = this.#call;
    let index = 0;
    for (let at = 4; at < reply.length; ) {
      const list = Number(reply[at]);
      if (list > 0) {
        index += 1;
        this.#add(index, list - 1, String(reply[at + 1]));
        at += 2;
        continue;
      }
      if (list < 0) {
        this.lastQueue = this.#queueOf(-list - 1);
        this.dead.push({ queue: this.lastQueue, reason: String(reply[at + 1]), raw: String(reply[at + 2]) });
      } else if (reply[at + 2] === "") {
        this.paused ??= [];
        this.paused.push(this.#queueOf(Number(reply[at + 1]) - 1));
      } else {
        const key = call.lists.keys[Number(reply[at + 1]) - 1] ?? keys.unacked;
        onRefused(replyError(String(reply[at + 2]), `FETCH from the key ${JSON.stringify(key)}`));
      }
      at += 3;
    }
    holds.answered(call.fetched, index);
  }

  /** (i, value)*: what an earlier copy of the call took and nobody has put back. */
  readReplay(reply: readonly (string | number)[]): void {
    const { holds, keys, limits } = this.#options;
    const call = this.#call;
    const values = new Map<number, string>();
    for (let at = 4; at + 1 < reply.length; at += 2) values.set(Number(reply[at]), String(reply[at + 1]));
    if (values.size === 0) {
      holds.answered(call.fetched, 0);
      return;
    }
    for (let index = 1; index <= call.n; index++) {
      const value = values.get(index);
      const parsed = value === undefined ? null : parseUnackedValue(Buffer.from(value).toString("latin1"));
      if (parsed === null) {
        holds.missing(call.fetched, index);
        continue;
      }
      const raw = Buffer.from(parsed.raw, "latin1").toString();
      this.#deliver({ index, queue: parsed.routingKey, raw, step: keys.stepOf(priorityIn(raw, limits)) });
    }
  }

  #queueOf(list: number): string {
    const { queues } = this.#call.lists;
    return queues[list % queues.length] ?? "";
  }

  #add(index: number, list: number, raw: string): void {
    const queue = this.#queueOf(list);
    this.lastQueue = queue;
    const step = this.#options.keys.steps[Math.floor(list / this.#call.lists.queues.length)] ?? 0;
    this.#deliver({ index, queue, raw, step });
  }

  #deliver(what: Pick<HoldFields, "index" | "queue" | "raw" | "step">): void {
    const { index, queue, raw, step } = what;
    const delivery = new RedisDelivery({
      fetched: this.#call.fetched,
      index,
      step,
      brokerTag: `${this.#prefix}${index}`,
      queue,
      raw,
      serverTimeMs: this.#serverTimeMs,
    });
    this.#options.holds.add(delivery);
    this.deliveries.push(delivery);
  }
}

function priorityIn(raw: string, limits: Limits): number {
  try {
    const { priority } = decodeEnvelope(raw, limits).properties;
    return typeof priority === "number" ? priority : 0;
  } catch {
    return 0;
  }
}

/** `seconds.microseconds` as ms, without the rounding of a product. */
function msOf(seconds: string): number {
  const dot = seconds.indexOf(".");
  if (dot < 0 || seconds.includes("e")) return Number(seconds) * 1000;
  const micros = Number(seconds.slice(dot + 1, dot + 7).padEnd(6, "0"));
  return Number(seconds.slice(0, dot)) * 1000 + micros / 1000;
}
