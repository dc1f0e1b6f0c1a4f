/** What of a canvas will not run any more: its tasks get a result all the same, so that nobody waits for them. */
import { asGroup, bodyOf, headerOf, kindOf, membersOf, tasksOf } from "../canvas/data.ts";
import { idOf } from "../canvas/freeze.ts";
import type { SignatureData } from "../protocol/wire.ts";
import type { Marked } from "./revoked.ts";

/** A task that will not run. */
export interface NeverRun extends Marked {
  readonly group: string | null;
  readonly index: number | null;
  /** The body of the chord that waits for it. */
  readonly chord: SignatureData | null;
}

type Around = Readonly<Record<string, unknown>>;

/** Those of a signature, and of the rest of its chain. Python knows the steps of a chain, and not what they are made of. */
export function neverRun(signature: SignatureData, around: Around = {}): readonly NeverRun[] {
  const data = asGroup(signature);
  const options = { ...around, ...defined(data.options) };
  const rest = Array.isArray(options["chain"]) ? (options["chain"] as readonly SignatureData[]) : [];
  return [...ownTasks(data, options), ...rest.flatMap((step) => neverRun(step))];
}

function ownTasks(data: SignatureData, options: Around): readonly NeverRun[] {
  switch (kindOf(data)) {
    case "chain": {
      const steps = tasksOf(data);
      return steps.flatMap((step, index) =>
        neverRun(step, index === steps.length - 1 ? inherited(options) : {}),
      );
    }
    case "group":
      return membersOf(data).flatMap((member) => neverRun(member, inherited(options)));
    case "chord":
      // Nobody counts the parts of a header that was never sent.
      return [
        ...membersOf(headerOf(data))
          .flatMap((member) => neverRun(member))
          .map((one) => ({ ...one, chord: null })),
        ...neverRun(bodyOf(data), inherited(options)),
      ];
    case "chunks":
    case "task": {
      const id = idOf(options);
      if (id === null) return [];
      const { group_id: group, group_index: index, chord } = options;
      return [
        {
          id,
          task: data.task,
          ...stampsIn(options),
          group: typeof group === "string" ? group : null,
          index: typeof index === "number" ? index : null,
          chord: typeof chord === "object" ? (chord as SignatureData | null) : null,
        },
      ];
    }
  }
}

function stampsIn(options: Around): Pick<NeverRun, "stampedHeaders" | "stamps"> {
  const stampedHeaders = options["stamped_headers"];
  return Array.isArray(stampedHeaders)
    ? { stampedHeaders: stampedHeaders as readonly string[], stamps: options }
    : NO_STAMPS;
}

const NO_STAMPS: Pick<NeverRun, "stampedHeaders" | "stamps"> = { stampedHeaders: [], stamps: {} };

/** What a canvas hands on to what ends it. */
function inherited({ group_id, group_index, chord }: Around): Around {
  return defined({ group_id, group_index, chord });
}

function defined(options: Around): Around {
  return Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== null && value !== undefined),
  );
}

/** Errbacks of a chord's body. Of a chain they are its own, and each step's. */
export function errbacksOf(body: SignatureData): readonly SignatureData[] {
  const own = body.options["link_error"];
  if (own !== undefined && own !== null)
    return (Array.isArray(own) ? own : [own]) as readonly SignatureData[];
  switch (kindOf(body)) {
    case "chain":
    case "group": {
      const [first] = tasksOf(body);
      return first === undefined ? [] : errbacksOf(first);
    }
    case "chord":
      return errbacksOf(bodyOf(body));
    case "chunks":
    case "task":
      return [];
  }
}
