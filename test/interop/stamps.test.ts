/** Stamps: what a visitor makes of a canvas, against Celery's own; and what tasks of both languages see of them. */
import { type AnySignature, chain, chord, group, type StampingVisitor } from "petiole";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { redisCommand } from "../support/redis.ts";
import { type Fleet, startFleet } from "./harness.ts";

let fleet: Fleet;
beforeAll(async () => {
  fleet = await startFleet();
  await Promise.all([
    fleet.worker({ hostname: "ts@stamps", queues: ["ts"], concurrency: 2 }),
    fleet.pythonWorker({ name: "py@stamps", queues: ["py"], concurrency: 2 }),
  ]);
});
beforeEach(() => redisCommand(fleet.backend, "DEL", "seen:stamps"));
afterAll(() => fleet?.stop());

/** A task of one language; its label is its last argument. */
function on(queue: "ts" | "py", ...given: readonly unknown[]): AnySignature {
  return fleet.app.signature("demo.stamps", given as never, { queue }) as AnySignature;
}

/** In Python: the visitor of a table of what each method gives, on a canvas in JSON. */
const PYTHON_STAMP = `
from celery.canvas import StampingVisitor
import json
table = args["visitor"]
class Visitor(StampingVisitor):
    def on_signature(self, sig, **headers):
        return dict(table["on_signature"], label=(sig.args or [sig.task])[-1]) if "on_signature" in table else {}
for name in table:
    if name != "on_signature":
        setattr(Visitor, name, lambda self, sig, name=name, **headers: dict(table[name]))
sig = app.signature(args["canvas"])
sig.stamp(Visitor() if table else None, args["append"], **args["stamps"])
`;

const SNAKE: Readonly<Record<string, keyof StampingVisitor>> = {
  on_group_start: "onGroupStart",
  on_chain_start: "onChainStart",
  on_chord_header_start: "onChordHeaderStart",
  on_chord_body: "onChordBody",
  on_callback: "onCallback",
  on_errback: "onErrback",
};
type Table = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

function visitorOf(table: Table): StampingVisitor {
  const { on_signature: ofSignature } = table;
  const visitor: Record<string, unknown> = {
    onSignature: (one: AnySignature) =>
      ofSignature === undefined ? {} : { ...named(ofSignature), label: one.args.at(-1) },
  };
  for (const [name, ours] of Object.entries(SNAKE))
    if (table[name] !== undefined) visitor[ours] = () => named(table[name] as Table[string]);
  return visitor as unknown as StampingVisitor;
}

function named({ stamped_headers: stampedHeaders, ...others }: Table[string]): Record<string, unknown> {
  return stampedHeaders === undefined ? others : { ...others, stampedHeaders };
}

/** Each task's options without what a client notes for itself, names of stamps in order, by label. */
function marksIn(canvas: unknown): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  const look = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    const { task, args, options } = value as { task?: string; args?: unknown[]; options?: Table[string] };
    if (task === "demo.stamps" && options !== undefined) {
      const { link: _, link_error: __, queue: ___, stamped_headers: names, ...rest } = options;
      // Celery shares one list of names between siblings: some are there of which a task has no stamp.
      const own = (names as string[]).filter((name) => name in rest).toSorted();
      found[String(args?.at(-1))] = { ...rest, names: own };
    }
    for (const part of Object.values(value)) look(part);
  };
  look(JSON.parse(JSON.stringify(canvas)));
  return found;
}

describe("a canvas is stamped as by Celery", () => {
  const linked = (label: string, errback = `${label} failed`) =>
    on("ts", label)
      .link(on("ts", `after ${label}`))
      .linkError(on("ts", errback));
  const CANVASES: Readonly<Record<string, () => AnySignature>> = {
    task: () => on("ts", "a"),
    "task with links": () => linked("a"),
    chain: () => chain(on("ts", "a"), linked("b"), on("ts", "c")) as AnySignature,
    group: () => group([linked("a"), on("ts", "b")]) as AnySignature,
    chord: () => chord([on("ts", "a"), linked("b")], linked("c") as never) as AnySignature,
    nested: () =>
      chain(
        linked("a"),
        group([chain(on("ts", "b"), on("ts", "c")), group([on("ts", "d"), linked("e")]) as AnySignature]),
        chord([on("ts", "f"), chain(on("ts", "g"), on("ts", "h"))], linked("i") as never) as AnySignature,
      ) as AnySignature,
  };
  const everywhere = Object.fromEntries(
    ["on_signature", ...Object.keys(SNAKE)].map((name) => [name, { [name]: true }]),
  );
  const VISITORS: Readonly<Record<string, Table>> = {
    "a stamp of each method": everywhere,
    "the same stamp of each method": Object.fromEntries(
      Object.keys(everywhere).map((name) => [name, { where: name }]),
    ),
    "a stamp and what is none": {
      on_signature: { tenant: "t", "x-note": 1, priority: 5, stamped_headers: ["tenant"] },
      on_group_start: { inside: 2, plain: "p", stamped_headers: ["inside"] },
    },
    "nothing at all": { on_signature: { stamped_headers: [] } },
  };
  const cases = Object.keys(CANVASES).flatMap((canvas) =>
    Object.keys(VISITORS).flatMap((visitor) =>
      [false, true].map((append) => [canvas, visitor, append] as const),
    ),
  );

  test.each(cases)("%s, %s, append: %s", async (canvas, name, append) => {
    // Celery forgets to append on what is linked to a chain as such: here nothing is.
    const given = (CANVASES[canvas] as () => AnySignature)();
    const table = VISITORS[name] as Table;
    const stamps = { call: "c" };
    const theirs = await fleet.python.value(`${PYTHON_STAMP}\nreturn json.loads(json.dumps(sig))`, {
      canvas: given.toJSON(),
      visitor: table,
      append,
      stamps,
    });
    const ours = given.stamp(visitorOf(table), { stamps, appendStamps: append });
    expect(marksIn(ours)).toEqual(marksIn(theirs));
    expect(Object.keys(marksIn(ours)).length).toBeGreaterThan(0);
  });

  test.each([
    [{ mark: "old" }, { mark: "new" }],
    [{ mark: ["old"] }, { mark: ["new"] }],
    [{ mark: "old" }, { mark: ["new"] }],
    [{ mark: ["old"] }, { mark: "new" }],
    [{ mark: { x: 1, y: 2 } }, { mark: { x: 3, z: 4 } }],
    [{ one: 1 }, { two: 2 }],
  ])("%o, and then %o", async (first, second) => {
    for (const append of [false, true]) {
      const theirs = await fleet.python.value(
        "import json\nsig = app.signature(args['sig'])\nsig.stamp(append_stamps=args['append'], **args['second'])\nreturn json.loads(json.dumps(sig))",
        { sig: on("ts", "a").stamp(first).toJSON(), append, second },
      );
      expect(marksIn(on("ts", "a").stamp(first).stamp(second, { appendStamps: append }))).toEqual(
        marksIn(theirs),
      );
    }
  });
});

describe("tasks of both languages see their stamps", () => {
  /** Every kind of place, with a retry and a replacement in each language, run in turn by either. */
  const tree = (): AnySignature =>
    chain(
      on("py", "one"),
      chord(
        [
          on("ts", "two"),
          on("py", "three"),
          on("ts", "retry", "four"),
          on("py", "retry", "five"),
          fleet.app.signature("demo.stamps_replaced", ["six"] as never, { queue: "ts" }) as AnySignature,
        ],
        on("ts", "seven") as never,
      ) as AnySignature,
      on("py", "eight").link(on("ts", "nine")).link(on("py", "ten")),
      (fleet.app.signature("demo.fail", [] as never, { queue: "ts" }) as AnySignature).linkError(
        on("py", "eleven"),
      ),
    ) as AnySignature;
  const labels = "one two three four five six seven eight nine ten".split(" ");

  async function seen(): Promise<Record<string, unknown>> {
    const notes = await eventually("all of them have run", async () => {
      const all = (await fleet.seen("stamps")) as [string, string, Record<string, unknown>][];
      return all.length >= labels.length + 1 ? all : undefined;
    });
    return Object.fromEntries(notes.map(([, label, stamps]) => [label, stamps]));
  }

  test("sent from here", async () => {
    const visitor: StampingVisitor = {
      onSignature: () => ({ tenant: "acme", note: "unseen", stampedHeaders: ["tenant"] }),
      onChordBody: () => ({ body: [1] }),
      onErrback: () => ({ failed: true }),
    };
    await tree().stamp(visitor).applyAsync([]);
    const found = await seen();
    // What follows a chord is its body.
    const body = ["seven", "eight", "nine", "ten"];
    for (const label of labels)
      expect([label, found[label]]).toEqual([
        label,
        body.includes(label) ? { tenant: "acme", body: [1] } : { tenant: "acme" },
      ]);
    expect(Object.values(found)).toContainEqual({ tenant: "acme", body: [1], failed: true });
  });

  test("sent from Python", async () => {
    await fleet.python.value(`${PYTHON_STAMP}\nsig.apply_async()\nreturn None`, {
      canvas: tree().toJSON(),
      visitor: { on_signature: { tenant: "acme" }, on_errback: { failed: true } },
      append: false,
      stamps: {},
    });
    const found = await seen();
    // What finishes in a task's place has its stamps, so its label too.
    for (const label of labels) expect([label, found[label]]).toEqual([label, { tenant: "acme", label }]);
  });
});
