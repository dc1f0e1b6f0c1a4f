/** `petiole report`: what to attach to a bug report; no secrets are in it. Python: `celery report`. */
import { internalsOf } from "../../app/internals.ts";
import { bugReport, settingsTable } from "../../app/report.ts";
import { version } from "../../base/version.ts";
import type { ExitCode, Invocation } from "../io.ts";
import { jsonLine } from "../json-line.ts";
import { openApp } from "../open-app.ts";
import type { RemoteOptions } from "../remote.ts";

export async function report(invocation: Invocation): Promise<ExitCode> {
  const { json = false } = invocation.options as RemoteOptions;
  const app = await openApp(invocation, { needsModule: false });
  try {
    const internals = internalsOf(app);
    await internals.finalize();
    const { conf } = internals;
    const fields = {
      petiole: version(),
      node: process.versions.node,
      platform: process.platform,
      settings: settingsTable(conf, { withDefaults: false }),
    };
    invocation.io.out(json ? jsonLine(fields) : `${bugReport(conf, version())}\n`);
    return 0;
  } finally {
    await app.close();
  }
}
