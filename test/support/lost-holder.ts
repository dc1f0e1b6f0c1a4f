/** A process of its own takes messages, and is killed with SIGKILL. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { TransportOptions } from "../../src/transports/transport.ts";
import { built } from "./built.ts";

export interface Holding {
  readonly queue: string;
  readonly count: number;
  readonly markStarted?: boolean | undefined;
}

/** How the process opens its transport: a file of `dist/`, and the function that it exports. */
export interface Opener {
  readonly file: string;
  readonly name: string;
  readonly options: TransportOptions;
  /** The function's second argument. */
  readonly internals?: object;
}

/** Answers the ids that it took. */
export async function killHolder(
  { file, name, options: given, internals }: Opener,
  { queue, count, markStarted }: Holding,
): Promise<readonly string[]> {
  const child = fork(fileURLToPath(new URL("./lost-holder.mjs", import.meta.url)), { stdio: "inherit" });
  const { clock: _clock, logger: _logger, ...options } = given;
  child.send({ dist: built(""), opener: { file, name }, options, internals, queue, count, markStarted });
  const [ids] = (await once(child, "message")) as [readonly string[]];
  child.kill("SIGKILL");
  await once(child, "exit");
  return ids;
}
