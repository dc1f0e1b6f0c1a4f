/** The command `stats`: what Flower and `celery inspect stats` show. Python: `celery.worker.worker.WorkController.stats`. */
import { made, type WorkerContext } from "../context.ts";
import type { ControlState } from "./state.ts";

type Stats = Readonly<Record<string, unknown>>;

export function stats({ context, tasks }: ControlState): Stats {
  const { app, startedMs } = context;
  return {
    ...context.userSteps?.info(),
    total: tasks.strategies.totals(),
    pid: process.pid,
    // Text, as Celery has it.
    clock: String(app.lamport.value),
    uptime: Math.round((app.clock.monotonic() - startedMs) / 1000),
    pool: poolStats(context),
    broker: brokerStats(context),
    prefetch_count: tasks.consumer.prefetch,
    ...(context.autoscaler === null ? {} : { autoscaler: context.autoscaler.info() }),
    rusage: rusage(),
  };
}

function poolStats({ pool }: WorkerContext): Stats {
  return { ...made(pool, "pool").info(), "put-guarded-by-semaphore": false, writes: "N/A" };
}

const PORTS: Readonly<Record<string, number>> = { redis: 6379, rediss: 6379, amqp: 5672, amqps: 5671 };

/** As kombu's `Connection.info`, without the password. */
function brokerStats({ app }: WorkerContext): Stats {
  const { conf } = app;
  const given = conf.brokerReadUrl ?? conf.brokerUrl;
  const all = (Array.isArray(given) ? given : [given ?? ""]).flatMap((one) => String(one).split(";"));
  const url = partsOf(all[0] ?? "");
  return {
    hostname: url.hostname,
    userid: url.user,
    virtual_host: url.path,
    port: url.port,
    insist: false,
    ssl: url.scheme === "rediss" || (conf.brokerUseSsl !== null && conf.brokerUseSsl !== false),
    transport: url.scheme,
    connect_timeout: 4,
    // May hold secrets.
    transport_options: {},
    login_method: null,
    uri_prefix: null,
    heartbeat: 120,
    failover_strategy: "round-robin",
    alternates: [],
    credential_provider: null,
  };
}

interface UrlParts {
  readonly scheme: string;
  readonly hostname: string | null;
  readonly user: string | null;
  readonly port: number | null;
  readonly path: string;
}

function partsOf(text: string): UrlParts {
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(text)?.[1] ?? "";
  try {
    const { hostname, username, port, pathname } = new URL(text.replace(/^[a-z][a-z0-9+.-]*:/i, "http:"));
    return {
      scheme,
      hostname: hostname === "" ? null : hostname,
      user: username === "" ? null : username,
      port: port === "" ? (PORTS[scheme] ?? null) : Number(port),
      path: pathname.replace(/^\//, "") || "0",
    };
  } catch {
    return { scheme, hostname: null, user: null, port: null, path: "" };
  }
}

/** As Python's `resource.getrusage`. */
function rusage(): Stats {
  const used = process.resourceUsage();
  return {
    utime: used.userCPUTime / 1e6,
    stime: used.systemCPUTime / 1e6,
    maxrss: used.maxRSS,
    ixrss: used.sharedMemorySize,
    idrss: used.unsharedDataSize,
    isrss: used.unsharedStackSize,
    minflt: used.minorPageFault,
    majflt: used.majorPageFault,
    nswap: used.swappedOut,
    inblock: used.fsRead,
    oublock: used.fsWrite,
    msgsnd: used.ipcSent,
    msgrcv: used.ipcReceived,
    nsignals: used.signalsCount,
    nvcsw: used.voluntaryContextSwitches,
    nivcsw: used.involuntaryContextSwitches,
  };
}
