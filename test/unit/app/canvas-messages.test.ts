/** The same canvases as Python's, sent from here: what they put into the broker is compared with Celery's own traffic. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { internalsOf } from "../../../src/app/internals.ts";
import { chain, chord, group, type Signature } from "../../../src/index.ts";
import { decodeTask } from "../../../src/protocol/message.ts";
import { DEFAULT_LIMITS, type SignatureData } from "../../../src/protocol/wire.ts";
import { type TestApp, testApp } from "./support.ts";

interface Recorded {
  readonly name: string;
  readonly how: string;
  readonly commands: readonly { readonly cmd: readonly string[] }[];
}

const file = new URL("../../vectors/messages.json", import.meta.url);
const recordings = readFileSync(file, "utf8").replaceAll(/: -?(NaN|Infinity)\b/gu, ": null");
const { entries } = JSON.parse(recordings) as { readonly entries: readonly Recorded[] };

function tasks({ app }: TestApp) {
  const anything = <P extends unknown[]>(name: string) => app.remote<(...args: P) => number>(name);
  return {
    add: anything<[x: number, y: number]>("vt.add"),
    tsum: anything<[numbers: number[]]>("vt.tsum"),
    ident: anything<[value: unknown]>("vt.ident"),
  };
}

type Tools = ReturnType<typeof tasks>;

/** As Python's `how` says, with our names. */
const CANVASES: Readonly<Record<string, (tools: Tools) => Signature<[], unknown>>> = {
  group: ({ add }) => group([add.s(1, 1), add.s(2, 2), add.s(3, 3)]),
  chain3: ({ add }) => chain(add.s(1, 1), add.s(2), add.s(3)),
  chord: ({ add, tsum }) => chord([add.s(1, 1), add.s(2, 2)], tsum.s()),
  chord_generator: ({ add, tsum }) =>
    chord(
      [0, 1, 2].map((i) => add.s(i, i)),
      tsum.s(),
    ),
  chord_empty_header: ({ tsum }) => chord([], tsum.s() as never) as never,
  chain_group_task_upgrade: ({ add, tsum }) => chain(add.s(1, 1), group([add.s(2), add.s(3)]), tsum.s()),
  group_of_chains: ({ add }) => group([chain(add.s(1, 1), add.s(2)), chain(add.s(3, 3), add.s(4))]),
  chord_of_chains: ({ add, tsum }) =>
    chord([chain(add.s(1, 1), add.s(2)), chain(add.s(3, 3), add.s(4))], chain(tsum.s(), add.s(100))),
  chord_in_chord: ({ add, tsum }) =>
    chord([chord([add.s(1, 1), add.s(2, 2)], tsum.s()), add.s(3, 3)], tsum.s()),
  chain_of_chords: ({ add, tsum }) =>
    group([add.s(1, 1), add.s(2, 2)])
      .pipe(tsum.s())
      .pipe(group([add.s(1), add.s(2)]))
      .pipe(tsum.s()),
  chord_body_group: ({ add, ident }) => chord([add.s(1, 1), add.s(2, 2)], group([ident.s(), ident.s()])),
  nested_group: ({ add }) => group([group([add.s(1, 1), add.s(2, 2)]), add.s(3, 3)]),
  chunks: ({ add }) =>
    add.chunks(
      [0, 1, 2, 3, 4].map((i) => [i, i]),
      2,
    ),
  map: ({ tsum }) =>
    tsum.map([
      [1, 2],
      [3, 4],
    ]),
  starmap: ({ add }) =>
    add.starmap([
      [1, 1],
      [2, 2],
    ]),
  immutable_chain: ({ add }) => chain(add.si(1, 1), add.si(2, 2)),
  stamped_task: ({ add }) => add.s(1, 1).stamp({ mystamp: "v1", other: ["a", "b"] }),
  stamped_chain_visitor: ({ add }) =>
    chain(add.s(1, 1), add.s(2)).stamp({ onSignature: () => ({ monitoring_id: "abc-123" }) }),
  stamped_group: ({ add }) =>
    group([add.s(1, 1), add.s(2, 2)]).stamp({
      onGroupStart: () => ({ in_group: ["g1"], stampedHeaders: ["in_group"] }),
      onSignature: () => ({ mid: "x", header: "not-a-stamp", stampedHeaders: ["mid"] }),
    }),
};

interface Seen {
  readonly headers: Record<string, unknown>;
  readonly properties: Readonly<Record<string, unknown>>;
  readonly body: unknown;
}

const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/gu;
const OF_THE_HOST = ["lang", "origin", "argsrepr", "kwargsrepr"];
/** Of the carrier; `correlation_id` and `reply_to` are ids. */
const OF_THE_CARRIER = ["delivery_info", "delivery_tag", "body_encoding", "reply_to"];

/** Ids by the order in which they first come; what differs by design out. */
function comparable(messages: readonly Seen[]): unknown {
  const known = new Map<string, string>();
  const text = JSON.stringify(
    messages.map(({ headers, properties, body }) => [
      Object.fromEntries(
        Object.entries(headers)
          .filter(([name]) => !OF_THE_HOST.includes(name))
          // Python's come out of a set.
          .map(([name, one]) => [
            name,
            name === "stamped_headers" ? (one as string[] | null)?.toSorted() : one,
          ]),
      ),
      Object.fromEntries(Object.entries(properties).filter(([name]) => !OF_THE_CARRIER.includes(name))),
      lean(body),
    ]),
  );
  return JSON.parse(
    text.replaceAll(UUID, (id) => {
      known.set(id, known.get(id) ?? `id ${known.size}`);
      return known.get(id) as string;
    }),
  );
}

/**
 * A body without what only Python writes and nobody reads: options that are null, the body of a chord that is not sent yet
 * in each member of its header (ours would grow with the power of a chain's length), `add_to_parent`, and what it notes on
 * a chain as such.
 */
function lean(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(lean);
  if (typeof value !== "object" || value === null) return value;
  const copy = Object.fromEntries(Object.entries(value).map(([key, one]) => [key, lean(one)]));
  if (!("subtask_type" in copy)) return copy;
  const { options, kwargs, subtask_type: type } = copy as unknown as SignatureData;
  const left = Object.entries(options).filter(
    ([name, one]) =>
      one !== null &&
      name !== "add_to_parent" &&
      !(type === "chain" && (name === "task_id" || name === "chain")),
  );
  if (type === "chord") {
    const header = kwargs["header"] as SignatureData;
    const members = (header.kwargs["tasks"] as readonly SignatureData[]).map((one) => ({
      ...one,
      options: withoutChord(one.options),
    }));
    const whole = { ...header, kwargs: { tasks: members }, options: withoutChord(header.options) };
    return { ...copy, options: Object.fromEntries(left), kwargs: { ...kwargs, header: whole } };
  }
  return { ...copy, options: Object.fromEntries(left) };
}

function withoutChord(options: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(options).filter(([name]) => name !== "chord"));
}

function recorded({ commands }: Recorded): { readonly messages: readonly Seen[]; readonly sizes: unknown } {
  const messages: Seen[] = [];
  const sizes: number[] = [];
  for (const { cmd } of commands) {
    if (cmd[0] === "LPUSH") {
      const { headers, properties, body } = JSON.parse(cmd[2] ?? "") as Seen & { readonly body: string };
      messages.push({ headers, properties, body: JSON.parse(Buffer.from(body, "base64").toString()) });
    }
    if (cmd[0] === "SETEX") sizes.push(Number(cmd[3]));
  }
  return { messages, sizes };
}

async function sent(canvas: (tools: Tools) => Signature<[], unknown>) {
  const made = testApp({ resultBackend: "memory://canvas-messages" });
  const sizes: number[] = [];
  const { results } = internalsOf(made.app) as never as {
    results: { startChords: (chords: readonly { size: number }[]) => Promise<void> };
  };
  results.startChords = async (chords) => {
    sizes.push(...chords.map(({ size }) => size));
  };
  await canvas(tasks(made)).delay();
  const messages = made.transport.sent.map(({ message }) => {
    const { args, kwargs, embed } = decodeTask(message, { accept: ["json"], limits: DEFAULT_LIMITS });
    return {
      headers: { ...message.headers },
      properties: message.properties,
      body: JSON.parse(JSON.stringify([args, kwargs, embed])),
    };
  });
  return { messages, sizes };
}

describe("what a canvas writes is what Celery's writes", () => {
  test.each(entries.filter(({ name }) => name in CANVASES))("$name: $how", async (entry) => {
    const canvas = CANVASES[entry.name];
    if (!canvas) throw new Error(entry.name);
    const theirs = recorded(entry);
    const ours = await sent(canvas);
    // Python begins anew for the inner group, so that two members have the same place.
    if (entry.name === "nested_group")
      for (const [index, one] of theirs.messages.entries()) one.headers["group_index"] = index;
    expect(comparable(ours.messages)).toEqual(comparable(theirs.messages));
    expect(ours.sizes).toEqual(theirs.sizes);
  });
});

test("every canvas of the recordings is sent here", () => {
  const canvas = /^(group|chain|chord|nested_group|chunks|map|starmap|immutable_chain|stamped)/u;
  const left = entries.filter(({ name }) => canvas.test(name) && !(name in CANVASES));
  expect(left.map(({ name }) => name)).toEqual([]);
});
