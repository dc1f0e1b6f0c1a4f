/** `petiole status`: which workers are there. Python: `celery.bin.control.status`. */
import { internalsOf } from "../../app/internals.ts";
import type { ExitCode, Invocation } from "../io.ts";
import { jsonLine } from "../json-line.ts";
import { openApp } from "../open-app.ts";
import { nodesOnline, noReply, printReply, type RemoteOptions } from "../remote.ts";

export async function status(invocation: Invocation): Promise<ExitCode> {
  const { io, globals } = invocation;
  const { timeout = 1, destination, json = false } = invocation.options as RemoteOptions;
  const app = await openApp(invocation, { needsModule: false });
  try {
    const internals = internalsOf(app);
    await internals.finalize();
    const replies = await internals.control.replies(
      "ping",
      {},
      {
        timeout,
        destination,
        reply: true,
        onReply: (node, value) => {
          if (!json) printReply(io, { node, value }, { body: false, quiet: globals.quiet });
        },
      },
    );
    if (replies.length === 0) throw noReply();
    if (json) io.out(jsonLine(Object.fromEntries(replies)));
    else if (!globals.quiet) io.out(nodesOnline(replies.length));
    return 0;
  } finally {
    await app.close();
  }
}
