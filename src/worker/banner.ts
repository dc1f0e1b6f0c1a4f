/** What a worker says of itself when it starts. */
import { internalsOf } from "../app/internals.ts";
import { redactUrl } from "../base/redact-url.ts";
import type { WorkerSettings } from "./options.ts";
import type { Worker } from "./worker.ts";

/** Name, connections without passwords, queues and tasks, in lines. The worker has been started. */
export function banner(worker: Worker, version: string): string {
  const { settings, app } = worker;
  const { conf, registry } = internalsOf(app);
  const queues = [...settings.queues, ...settings.broadcasts].map(
    ({ name, exchange, type, routingKey }) => `${name}  exchange=${exchange}(${type}) key=${routingKey}`,
  );
  const tasks = [...registry.keys()].filter((name) => !name.startsWith("celery.")).sort();
  const lines: readonly (readonly [string, readonly string[]])[] = [
    ["app", [app.name]],
    ["transport", urls(conf.brokerReadUrl ?? conf.brokerUrl)],
    ["results", conf.resultBackend ? [redactUrl(conf.resultBackend)] : ["disabled"]],
    ["concurrency", [`${slots(settings)} (${settings.pool}), ${prefetchText(settings)}`]],
    ["queues", queues],
    ["tasks", tasks.length > 0 ? tasks : ["none"]],
  ];
  const text = lines.map(([name, values]) =>
    values.map((value, index) => `  ${(index === 0 ? `${name}:` : "").padEnd(13)}${value}`).join("\n"),
  );
  return `petiole ${version} · ${settings.hostname} · node ${process.versions.node} · pid ${process.pid}\n${text.join("\n")}\n`;
}

/** `4`, or `1 to 10` with autoscale. */
function slots({ autoscale, concurrency }: WorkerSettings): string {
  return autoscale === null ? String(concurrency) : `${autoscale.min} to ${autoscale.max}`;
}

function prefetchText({ disablePrefetch, prefetch }: WorkerSettings): string {
  return disablePrefetch ? "no prefetch" : `prefetch ${prefetch}`;
}

function urls(value: string | readonly string[] | null): readonly string[] {
  if (value === null) return ["none"];
  return typeof value === "string" ? value.split(";").map(redactUrl) : value.map(redactUrl);
}
