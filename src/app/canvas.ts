/** Sends a canvas: plans it, tells the backend of its chords, publishes all of it at once. */
import { inTurns, Turns } from "../base/turns.ts";
import { uuid4 } from "../base/uuid.ts";
import { type CanvasPlan, type Given, planCanvas } from "../canvas/plan.ts";
import type { SendParent } from "../canvas/sender.ts";
import { splitWireOptions } from "../canvas/wire-options.ts";
import type { SignatureData } from "../protocol/wire.ts";
import type { Producer } from "./producer.ts";
import type { HandOver } from "./publisher.ts";
import type { AsyncResult } from "./result-types.ts";
import type { Results } from "./results.ts";
import type { Send } from "./send-builder.ts";
import type { SendPlan } from "./send-plan.ts";

/** What sending a canvas needs of its app, which is in use. */
export interface CanvasHost {
  readonly producer: Producer;
  readonly results: Results;
  plan(task: string): SendPlan;
}

/** Ids of a canvas: new ones, or such as follow from the task that sends it. */
export type NewId = () => string;

export function planned(
  host: CanvasHost,
  canvas: { readonly signature: SignatureData; readonly given: Given },
  newId: NewId = uuid4,
): Promise<CanvasPlan> {
  const context = { newId, replyTo: host.producer.replyTo };
  return inTurns(planCanvas(canvas.signature, canvas.given, context));
}

/** A canvas that the user sends; inside a task it is a child of it. */
export function sendCanvas(host: CanvasHost, plan: CanvasPlan): Promise<AsyncResult<unknown>> {
  return host.producer.canvas(async (parent) => {
    await publishPlan(host, plan, { parent, handOver: null });
    return host.results.of(plan.result);
  }, plan.sent);
}

/** The sizes first: no chord can be complete before it is known how many parts it has. */
export async function publishPlan(
  host: CanvasHost,
  { sends, chords }: Pick<CanvasPlan, "sends" | "chords">,
  { parent, handOver }: { readonly parent: SendParent | null; readonly handOver: HandOver | null },
): Promise<void> {
  const all: Send[] = [];
  const turns = new Turns();
  for (const signature of sends) {
    all.push(sendOf(host, signature, parent));
    if (turns.isOver) await turns.next();
  }
  if (chords.length > 0) await host.results.startChords(chords);
  const [first] = all;
  if (all.length === 1 && first !== undefined && handOver === null) await host.producer.produce(first);
  else if (all.length > 0) await host.producer.produceAll(all, handOver);
}

function sendOf(host: CanvasHost, signature: SignatureData, parent: SendParent | null): Send {
  const { task, args, kwargs } = signature;
  const { options, extra } = splitWireOptions(signature.options);
  return { plan: host.plan(task), args, kwargs, options, extra, embed: null, parent, byUser: false };
}
