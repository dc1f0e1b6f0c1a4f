/**
 * What a child of the pools `prefork` and `threads` runs: imports the app by its module, as the command line does, and runs
 * the jobs it is sent. It has no connection to broker or backend until a task sends one of its own.
 */
import { isMainThread, parentPort } from "node:worker_threads";
import type { Celery } from "../app/app.ts";
import { internalsOf } from "../app/internals.ts";
import { resolveApp } from "../app/loader.ts";
import { emitSignal } from "../app/signals.ts";
import type { Logger } from "../base/logger.ts";
import { processChannel, threadChannel } from "../pool/channels.ts";
import { type Channel, type ChildSetUp, channelLogger, serveJobs } from "../pool/child-loop.ts";
import { endWithParent } from "../pool/orphan.ts";
import { createExecute } from "../task/execute.ts";
import { type ChildInit, configure } from "./child-init.ts";
import { markChild } from "./in-child.ts";

/** For handlers of `workerProcessShutdown`, and for what tasks have sent. ms. */
const CLOSE_MS = 2000;

/** What tells the app that the process ends. Written by `setUp`. */
const state: { onEnd: (exitcode: number) => Promise<void> } = { onEnd: () => Promise.resolve() };

async function setUp(channel: Channel, init: ChildInit): Promise<ChildSetUp> {
  const logger = channelLogger(channel, init.least);
  catchStrays(logger);
  const app = await resolveApp(init.app.module, process.cwd());
  configure(app, init.app);
  const internals = internalsOf(app);
  const { workerRedirectStdouts, workerRedirectStdoutsLevel } = internals.conf;
  if (workerRedirectStdouts) {
    const { redirectStdouts } = await import("./redirect.ts");
    redirectStdouts(logger, workerRedirectStdoutsLevel ?? "WARNING");
  }
  await internals.finalize();
  const { clock, emitters, middleware, registry } = internals;
  const to = { emitters, logger, sender: init.hostname };
  await emitSignal("workerProcessInit", {}, to);
  state.onEnd = (exitcode) => emitSignal("workerProcessShutdown", { pid: process.pid, exitcode }, to);
  if (isMainThread) {
    process.title = `petiole: pool of ${init.hostname}`;
    endWithParent();
  }
  const execute = createExecute({ app, logger, clock, emitters, middleware, registry });
  return { execute, logger, reportMemory: init.reportMemory, onStop: () => end(app) };
}

/** What tasks have sent leaves first. */
async function end(app: Celery): Promise<void> {
  const timer = setTimeout(() => process.exit(0), CLOSE_MS);
  await state.onEnd(0);
  await app.close().catch(() => {});
  clearTimeout(timer);
  process.exit(0);
}

/** As in the parent: a rejection that nobody handled is told; after an exception nothing can be relied upon. */
function catchStrays(logger: Logger): void {
  process.on("unhandledRejection", (err) => {
    logger.error({ err }, "a promise was rejected and nobody handled it");
  });
  process.on("uncaughtException", (err) => {
    logger.error({ err }, "an exception was not caught: this child of the pool ends");
    void state.onEnd(1);
    process.exit(1);
  });
}

function channelOf(): Channel {
  if (!isMainThread && parentPort !== null) return threadChannel(parentPort);
  process.on("disconnect", () => process.exit(1));
  return processChannel();
}

markChild();
const channel = channelOf();
serveJobs(channel, (init) => setUp(channel, init as ChildInit));
