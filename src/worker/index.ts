/** `petiole/worker`: a worker in this process. */

export { banner } from "./banner.ts";
export type { AppModule } from "./child-init.ts";
export type { NodeSignals } from "./gossip.ts";
export { createWorkerLogger, type LogLevel, type WorkerLogger, type WorkerLoggerOptions } from "./logging.ts";
export type { AutoscaleRange, PoolName, WorkerOptions, WorkerSettings } from "./options.ts";
export { handleSignals, type SignalOptions } from "./signals.ts";
export { workerSteps } from "./steps/index.ts";
export { type StopKind, type StopOptions, Worker } from "./worker.ts";
