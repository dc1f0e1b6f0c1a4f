/** `petiole inspect` and `petiole control`: one command of remote control, and the replies. Python: `celery/bin/control.py`. */
import { internalsOf } from "../../app/internals.ts";
import type { Command, ExitCode, Invocation } from "../io.ts";
import { jsonLine } from "../json-line.ts";
import { openApp } from "../open-app.ts";
import {
  commandOf,
  described,
  listedCommands,
  listing,
  nodesOnline,
  noReply,
  printReply,
  type RemoteOptions,
} from "../remote.ts";

export const inspect: Command = (invocation) => run(invocation, "inspect");

export const control: Command = (invocation) => run(invocation, "control");

async function run(invocation: Invocation, type: "inspect" | "control"): Promise<ExitCode> {
  const { io, globals } = invocation;
  const { timeout = 1, destination, json = false, list = false } = invocation.options as RemoteOptions;
  const app = await openApp(invocation, { needsModule: false });
  try {
    const internals = internalsOf(app);
    await internals.finalize();
    const listed = listedCommands(internals, type);
    if (list) {
      io.out(json ? jsonLine(listed.map(described)) : listing(listed, type));
      return 0;
    }
    const { method, args } = commandOf(listed, type, invocation.args);
    const replies = await internals.control.replies(method, args, {
      timeout,
      destination,
      reply: true,
      onReply: (node, value) => {
        if (!json) printReply(io, { node, value }, { body: true, quiet: globals.quiet });
      },
    });
    if (replies.length === 0) throw noReply();
    // As Celery's: an object by node for inspect, a list of replies for control.
    const all =
      type === "inspect" ? Object.fromEntries(replies) : replies.map((one) => Object.fromEntries([one]));
    if (json) io.out(jsonLine(all));
    else if (type === "inspect" && !globals.quiet) io.out(nodesOnline(replies.length));
    return 0;
  } finally {
    await app.close();
  }
}
