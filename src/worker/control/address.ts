/** Whether a request is for this worker. Python: `kombu.pidbox.Node.handle_message`, `kombu.matcher`. */
import { createContext, Script } from "node:vm";
import { globMatcher } from "../../app/routes-glob.ts";
import type { ControlRequest } from "../../protocol/pidbox.ts";

/** A regular expression may take this long: one that was made to take for ever is no match. ms. */
const PATTERN_MS = 50;
/** So often at most when it did not have the processor meanwhile: a busy machine makes no worker deaf. */
const TRIES = 5;

/** `destination` wins; a pattern counts only beside its matcher; else it is for all. */
export function isAddressed(
  request: Pick<ControlRequest, "destination" | "pattern" | "matcher">,
  hostname: string,
): boolean {
  const { destination, pattern, matcher } = request;
  if (destination !== null && destination.length > 0) return destination.includes(hostname);
  if (pattern === null || pattern === "" || matcher === null || matcher === "") return true;
  switch (matcher) {
    case "glob":
      return globMatcher(pattern)(hostname);
    case "pcre":
      return matchesRegExp(pattern, hostname);
    default:
      return false;
  }
}

/**
 * Python's `re.match`: from the start, not to the end. It runs in a context of its own, which can be stopped: a pattern
 * comes from whoever reaches the broker, and backtracking has no end.
 */
function matchesRegExp(pattern: string, name: string): boolean {
  const { source, flags } = translated(pattern);
  for (let left = TRIES; left > 0; left -= 1) {
    const from = process.cpuUsage();
    try {
      const context = createContext({ source, flags, name });
      return SCRIPT.runInContext(context, { timeout: PATTERN_MS }) === true;
    } catch (error) {
      const { user, system } = process.cpuUsage(from);
      // Half of it, in microseconds.
      const hadTime = user + system >= (PATTERN_MS * 1000) / 2;
      if ((error as NodeJS.ErrnoException).code !== "ERR_SCRIPT_EXECUTION_TIMEOUT" || hadTime) return false;
    }
  }
  return false;
}

const SCRIPT = new Script("new RegExp('^(?:' + source + ')', flags).test(name)");

/** The few spellings of Python's that JavaScript has others for. */
function translated(pattern: string): { readonly source: string; readonly flags: string } {
  const flags = /^\(\?([ims]+)\)/.exec(pattern);
  const source = pattern
    .slice(flags?.[0].length ?? 0)
    .replaceAll("(?P<", "(?<")
    .replaceAll(/\\A/g, "^")
    .replaceAll(/\\Z/g, "$");
  return { source, flags: flags?.[1] ?? "" };
}
