/**
 * What a worker tells those who watch over it: `/livez`, whether its process is to be replaced; `/readyz`, whether it takes
 * messages. JSON, 200 or 503.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type IntervalHistogram, monitorEventLoopDelay } from "node:perf_hooks";
import type { Timer } from "../base/clock.ts";
import { PetioleError } from "../errors.ts";
import type { WorkerContext } from "./context.ts";
import type { Request } from "./request.ts";

/** A fetch is answered every few seconds, with nothing if there is nothing. ms. */
const FETCHED_WITHIN_MS = 15_000;
/** The event loop stood still for so long: as long as a task may hold it up before the log names it. ms. */
const BLOCKED_MS = 5_000;
/** The longest stop is forgotten after once to twice this. ms. */
const WINDOW_MS = 15_000;
const RESOLUTION_MS = 20;

interface Answer {
  readonly ok: boolean;
  readonly body: Readonly<Record<string, unknown>>;
}

export class HealthServer {
  readonly #context: WorkerContext;
  readonly #server: Server;
  readonly #delay: IntervalHistogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  /** Of the last window. ms. */
  #lastLagMs = 0;
  #timer: Timer | null = null;

  constructor(context: WorkerContext) {
    this.#context = context;
    this.#server = createServer((request, response) => this.#answer(request, response));
    // Nothing is read of a request but its first line.
    this.#server.headersTimeout = 5_000;
    this.#server.requestTimeout = 5_000;
  }

  /** @throws PetioleError `PET_DAEMON` when the port cannot be opened */
  async listen({ host, port }: { readonly host: string; readonly port: number }): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const failed = (cause: Error): void => {
        const message = `the health port ${host}:${port} cannot be opened: ${cause.message}`;
        reject(new PetioleError("PET_DAEMON", message, { cause }));
      };
      this.#server.once("error", failed);
      this.#server.listen({ host, port }, () => {
        this.#server.off("error", failed);
        resolve();
      });
    });
    this.#server.unref();
    this.#delay.enable();
    this.#turnWindow();
    const { address, port: opened } = this.#server.address() as AddressInfo;
    this.#context.logger.info({ host: address, port: opened }, "health is served");
  }

  async close(): Promise<void> {
    this.#timer?.cancel();
    this.#delay.disable();
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  #turnWindow(): void {
    this.#lastLagMs = this.#lagMs(this.#delay.count === 0);
    this.#delay.reset();
    this.#timer = this.#context.app.clock.setTimer(WINDOW_MS, () => this.#turnWindow(), { unref: true });
  }

  #lagMs(isEmpty: boolean): number {
    return isEmpty ? 0 : Math.max(0, Math.round(this.#delay.max / 1e6) - RESOLUTION_MS);
  }

  #answer({ method, url }: IncomingMessage, response: ServerResponse): void {
    const path = (url ?? "").replace(/\?.*$/s, "");
    const known = path === "/livez" || path === "/readyz";
    if (!known) return this.#send(response, 404, { error: "there is /livez and /readyz" });
    if (method !== "GET" && method !== "HEAD") return this.#send(response, 405, { error: "only GET" });
    const { ok, body } = path === "/livez" ? this.#live() : this.#ready();
    this.#send(response, ok ? 200 : 503, body);
  }

  #send(response: ServerResponse, code: number, body: object): void {
    response.writeHead(code, { "content-type": "application/json", "cache-control": "no-store" });
    response.end(`${JSON.stringify(body)}\n`);
  }

  #live(): Answer {
    const { app, settings, startedMs } = this.#context;
    const lagMs = Math.max(this.#lastLagMs, this.#lagMs(this.#delay.count === 0));
    const ok = lagMs < BLOCKED_MS;
    return {
      ok,
      body: {
        status: ok ? "ok" : "the event loop stood still",
        hostname: settings.hostname,
        pid: process.pid,
        uptimeSeconds: Math.round((app.clock.monotonic() - startedMs) / 1000),
        loopLagMs: lagMs,
      },
    };
  }

  #ready(): Answer {
    const { app, pool, tasks, settings } = this.#context;
    const { fetchedMs = null, connection = null } = tasks?.consumer ?? {};
    const sinceMs = fetchedMs === null ? null : app.clock.monotonic() - fetchedMs;
    const trouble = this.#trouble(connection, sinceMs);
    return {
      ok: trouble === null,
      body: {
        status: trouble ?? "ready",
        hostname: settings.hostname,
        broker: connection,
        fetchedSecondsAgo: sinceMs === null ? null : Math.round(sinceMs / 100) / 10,
        slots: pool?.size ?? 0,
        active: tasks?.consumer.active.size ?? 0,
        reserved: tasks?.consumer.reserved ?? 0,
        oldestTask: this.#oldest(),
      },
    };
  }

  /** null: messages are taken. */
  #trouble(connection: string | null, sinceMs: number | null): string | null {
    if (this.#context.stopping.aborted) return "stopping";
    if (connection === null) return "starting";
    if (connection !== "live") return "the broker is away";
    if (sinceMs === null || sinceMs > FETCHED_WITHIN_MS) return "no fetch was answered in time";
    return null;
  }

  #oldest(): Readonly<Record<string, unknown>> | null {
    let oldest: Request | null = null;
    for (const request of this.#context.tasks?.consumer.active ?? []) {
      if (request.startedMs > 0 && (oldest === null || request.startedMs < oldest.startedMs))
        oldest = request;
    }
    if (oldest === null) return null;
    const { id, task, startedMs } = oldest;
    return { id, task, runningSeconds: Math.round((this.#context.app.clock.now() - startedMs) / 100) / 10 };
  }
}
