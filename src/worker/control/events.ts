/** Commands about events. */
import { textOf } from "./arguments.ts";
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

  /** Without gossip there is nobody to elect with. */
  election({ context: { gossip } }, args) {
    gossip?.elections.begin(textOf(args, "id"), textOf(args, "topic"), args["action"]);
    return null;
  },

  heartbeat({ context }) {
    context.events?.heartbeat();
    return null;
  },
};
