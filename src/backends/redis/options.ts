/** `result_backend_transport_options` of the Redis backend, in Python's or in camelCase spelling. */
import { didYouMean } from "../../base/nearest.ts";
import { ImproperlyConfigured } from "../../errors.ts";
import { OPTION_NAMES } from "../../transports/redis/options.ts";

export interface RedisBackendSettings {
  readonly globalKeyprefix: string;
  /** `result_chord_ordered`: the body of a chord gets its results in the order of the header. Default: true. */
  readonly chordOrdered: boolean;
  /** Milliseconds until a command that is not answered ends its connection. */
  readonly commandMs: number;
}

/** Celery's, without a meaning here yet or at all: accepted, so that a shared configuration works. */
const WITHOUT_EFFECT: readonly string[] = ["retry_policy", "visibility_timeout", "db", "host", "port"];

const DEFAULT_COMMAND_SECONDS = 5;

/** @throws ImproperlyConfigured on an unknown name (`PET_CONFIG_UNKNOWN`) or a wrong value */
export function readBackendOptions(options: Readonly<Record<string, unknown>>): RedisBackendSettings {
  let globalKeyprefix = "";
  let chordOrdered = true;
  let commandSeconds = DEFAULT_COMMAND_SECONDS;
  for (const [given, value] of Object.entries(options)) {
    if (value === undefined) continue;
    const name = given.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    switch (name) {
      case "global_keyprefix":
        if (typeof value !== "string") throw invalid(given, "a text", value);
        globalKeyprefix = value;
        break;
      case "result_chord_ordered":
        if (typeof value !== "boolean") throw invalid(given, "true or false", value);
        chordOrdered = value;
        break;
      case "command_deadline":
        if (typeof value !== "number" || !(value >= 0.1)) throw invalid(given, "seconds, 0.1 or more", value);
        commandSeconds = value;
        break;
      default:
        // The broker's options are taken too: one dictionary often serves both.
        if (!WITHOUT_EFFECT.includes(name) && !OPTION_NAMES.includes(name)) {
          throw new ImproperlyConfigured(
            `result_backend_transport_options has no option ${JSON.stringify(given)}${didYouMean(name, ["global_keyprefix", "result_chord_ordered", ...WITHOUT_EFFECT, ...OPTION_NAMES])}`,
            { code: "PET_CONFIG_UNKNOWN" },
          );
        }
    }
  }
  return { globalKeyprefix, chordOrdered, commandMs: commandSeconds * 1000 };
}

function invalid(name: string, expected: string, value: unknown): ImproperlyConfigured {
  return new ImproperlyConfigured(
    `result_backend_transport_options ${JSON.stringify(name)} is ${JSON.stringify(value)}; expected ${expected}`,
  );
}
