/** The logger of a task with `storeLogs`: its lines are kept, too. */
import type { Logger } from "../base/logger.ts";
import { encodeLogLine, type TaskLogLevel } from "../protocol/log-lines.ts";

/** Where lines go besides the log. */
export interface LogKeeper {
  /** Wall clock, ms. */
  now(): number;
  /** A line, as `encodeLogLine` gives it. */
  keep(line: string): void;
}

/** Lines from INFO on are kept, whatever the log's level is; those of DEBUG are not. */
export function storedLog(logger: Logger, keeper: LogKeeper, own: object = {}): Logger {
  const both =
    (level: Exclude<TaskLogLevel, "debug">) =>
    (fields: object, message: string): void => {
      keeper.keep(encodeLogLine({ timeMs: keeper.now(), level, message, fields: { ...own, ...fields } }));
      logger[level](fields, message);
    };
  return {
    debug: (fields, message) => logger.debug(fields, message),
    info: both("info"),
    warn: both("warn"),
    error: both("error"),
    child: (fields) => storedLog(logger.child(fields), keeper, { ...own, ...fields }),
  };
}
