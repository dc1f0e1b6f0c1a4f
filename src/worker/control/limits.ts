/** Commands that change limits of a task type. */
import { InvalidRate, rateOf } from "../rate-limits.ts";
import { optionalNumber, textOf } from "./arguments.ts";
import { CommandError, textRepr } from "./errors.ts";
import { type CommandGroup, nok, ok } from "./state.ts";

export const LIMIT_COMMANDS: CommandGroup = {
  rate_limit({ context, tasks }, args) {
    const name = textOf(args, "task_name");
    const limit = args["rate_limit"];
    let rate: number;
    try {
      rate = rateOf(limit);
    } catch (error) {
      if (!(error instanceof InvalidRate)) throw error;
      if (error.type !== "ValueError") throw new CommandError(error.type, error.message);
      return nok(`Invalid rate limit string: ValueError(${textRepr(error.message)})`);
    }
    if (!tasks.strategies.setRateLimit(name, rate === 0 ? 0 : (limit as string | number))) {
      context.logger.error({ task: name }, "rate limit of a task that is not registered");
      return nok("unknown task");
    }
    tasks.consumer.onRateChanged(name);
    context.logger.info({ task: name, limit }, "the rate limit of a task was changed by remote control");
    return ok(rate === 0 ? "rate limit disabled successfully" : "new rate limit set successfully");
  },

  time_limit({ context, tasks }, args) {
    const name = args["task_name"] === undefined ? "" : textOf(args, "task_name");
    const soft = optionalNumber(args, "soft");
    const hard = optionalNumber(args, "hard");
    if (!tasks.strategies.setTimeLimits(name, { soft, hard })) {
      context.logger.error({ task: name }, "time limit of a task that is not registered");
      return nok("unknown task");
    }
    context.logger.info({ task: name, soft, hard }, "time limits of a task were changed by remote control");
    return ok("time limits set successfully");
  },
};
