/** What a scheduler says of itself when it starts. */
import { internalsOf } from "../app/internals.ts";
import { redactUrl } from "../base/redact-url.ts";
import type { Beat } from "./beat.ts";

/** App, connection without passwords, where it keeps what has run, and entries, in lines. The app is prepared. */
export function banner(running: Beat, version: string): string {
  const { conf, periodicTasks } = internalsOf(running.app);
  const broker = conf.brokerWriteUrl ?? conf.brokerUrl;
  const urls = typeof broker === "string" ? broker.split(";") : (broker ?? ["none"]);
  const names = periodicTasks.map(({ name, task }) => (name === task ? name : `${name} (${task})`));
  const lines: readonly (readonly [string, readonly string[]])[] = [
    ["app", [running.app.name]],
    ["transport", urls.map(redactUrl)],
    ["schedule", [running.location]],
    ["entries", names.length > 0 ? names : ["none"]],
  ];
  const text = lines.map(([name, values]) =>
    values.map((value, index) => `  ${(index === 0 ? `${name}:` : "").padEnd(13)}${value}`).join("\n"),
  );
  return `petiole beat ${version} · node ${process.versions.node} · pid ${process.pid}\n${text.join("\n")}\n`;
}
