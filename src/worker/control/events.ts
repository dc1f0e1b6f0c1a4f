/** Commands about events. */
import { type CommandGroup, nok, ok } from "./state.ts";

const UNAVAILABLE = "event dispatcher unavailable";

export const EVENT_COMMANDS: CommandGroup = {
  enable_events({ context: { events, logger } }) {
    if (events === null) return nok(UNAVAILABLE);
    if (!events.enable()) return ok("task events already enabled");
    logger.info({}, "events of tasks were enabled by remote control");
    return ok("task events enabled");
  },

  disable_events({ context: { events, logger } }) {
    if (events === null) return nok(UNAVAILABLE);
    if (!events.disable()) return ok("task events already disabled");
    logger.info({}, "events of tasks were disabled by remote control");
    return ok("task events disabled");
  },

  heartbeat({ context }) {
    context.events?.heartbeat();
    return null;
  },
};
