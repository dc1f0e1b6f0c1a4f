/**
 * Options from the environment, as click gives them to Celery: `CELERY_APP`, `CELERY_WORKER_CONCURRENCY`, and for the
 * global ones also the names that Celery has for them (`APP`, `BROKER_URL`). An option on the command line wins; an
 * empty variable is one that is not set.
 */
import { PetioleError } from "../errors.ts";
import type { Io } from "./io.ts";
import { flagsOf, type OptionSpec } from "./option-types.ts";
import { isOn } from "./values.ts";

/** What a variable gave, and which one it was. */
export interface FromEnvironment {
  readonly value: unknown;
  readonly variable: string;
}

/**
 * @param command - null for the global options
 * @throws PetioleError `PET_USAGE`, naming the variable
 */
export function fromEnvironment(
  spec: OptionSpec,
  command: string | null,
  env: Io["env"],
): FromEnvironment | null {
  for (const variable of variablesOf(spec, command)) {
    const given = env[variable];
    if (!given) continue;
    try {
      return { value: read(spec, given, variable), variable };
    } catch (error) {
      throw new PetioleError(
        "PET_USAGE",
        `the environment variable ${variable}: ${(error as Error).message}`,
        {
          cause: error,
        },
      );
    }
  }
  return null;
}

/** Names in the order in which they are looked at. */
export function variablesOf(spec: OptionSpec, command: string | null): readonly string[] {
  const own = upper(flagsOf(spec).long.replace(/^-+/, ""));
  return [
    ...(spec.env ?? []),
    spec.variable ?? `CELERY_${command === null ? "" : `${upper(command)}_`}${own}`,
  ];
}

function upper(name: string): string {
  return name.replaceAll("-", "_").toUpperCase();
}

function read(spec: OptionSpec, given: string, variable: string): unknown {
  if (spec.parse) return spec.parse(given, undefined);
  // https://no-color.org: any text means no colour.
  return variable === "NO_COLOR" ? true : isOn(given);
}
