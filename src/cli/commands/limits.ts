/** `petiole limits`: the limits over all workers that tasks have a slot of, or wait for. Python has no counterpart. */
import type { LimitInfo } from "../../app/control-types.ts";
import type { ExitCode, Invocation } from "../io.ts";
import { jsonLine } from "../json-line.ts";
import { openApp } from "../open-app.ts";

/** What the option table reads for this command. */
interface LimitsOptions {
  readonly task?: string;
  readonly json?: boolean;
}

/** Waiting tasks that are shown of each limit. */
const SHOWN = 5;

export async function limits(invocation: Invocation): Promise<ExitCode> {
  const { task, json = false } = invocation.options as LimitsOptions;
  const app = await openApp(invocation, { needsModule: false });
  try {
    const all = (await app.control.limits()).filter((one) => task === undefined || one.task === task);
    if (json) invocation.io.out(jsonLine(all.map(jsonOf)));
    else if (all.length === 0) invocation.io.out("No task runs or waits under a limit over all workers.\n");
    else invocation.io.out(all.map(textOf).join("\n"));
    return 0;
  } finally {
    await app.close();
  }
}

function jsonOf({ perSecond, freeAt, waiters, ...rest }: LimitInfo): unknown {
  return {
    ...rest,
    perSecond,
    freeAt: freeAt?.toISOString() ?? null,
    waiters: waiters.map(({ id, since, until }) => ({
      id,
      since: since.toISOString(),
      until: until?.toISOString() ?? null,
    })),
  };
}

function textOf(one: LimitInfo): string {
  const of = one.key === "" ? one.task : `${one.task} [${one.key}]`;
  const lines = [one.kind === "rate" ? `${of}: ${rateText(one)}` : `${of}: ${slotsText(one)}`];
  for (const id of one.holders) lines.push(`  runs   ${id}`);
  for (const { id, since, until } of one.waiters.slice(0, SHOWN)) {
    const turn = until === null ? "" : `, starts ${until.toISOString()}`;
    lines.push(`  waits  ${id} since ${since.toISOString()}${turn}`);
  }
  const more = one.waiting - Math.min(SHOWN, one.waiters.length);
  if (more > 0) lines.push(`         and ${more} more`);
  return `${lines.join("\n")}\n`;
}

function slotsText({ holders, limit, waiting }: LimitInfo): string {
  return `${holders.length} of ${limit} at once, ${waiting} ${waiting === 1 ? "waits" : "wait"}`;
}

function rateText({ perSecond, limit, waiting, freeAt }: LimitInfo): string {
  const burst = limit === 1 ? "" : `, ${limit} after a pause`;
  const free = freeAt === null ? "" : `, free ${freeAt.toISOString()}`;
  return `${shownRate(perSecond ?? 0)}${burst}, ${waiting} ${waiting === 1 ? "waits" : "wait"}${free}`;
}

const SECONDS = { s: 1, m: 60, h: 3600 } as const;

/** In the unit that makes a number of it that is no fraction below 1. */
function shownRate(perSecond: number): string {
  const unit = perSecond >= 1 ? "s" : perSecond * 60 >= 1 ? "m" : "h";
  return `${Number((perSecond * SECONDS[unit]).toFixed(3))}/${unit}`;
}
