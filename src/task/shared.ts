/**
 * Tasks of modules that do not know their app. Every app that is put to use gets them; a call goes to the app whose task
 * is running, else to the app whose discovery loaded the module, else to the default app. Python: `celery/_state.py`.
 */
import type { Celery } from "../app/app.ts";
import type { AsyncResult } from "../app/result-types.ts";
import type { AnySignature } from "../canvas/canvas-types.ts";
import { type CanvasSignature, signatureFromData, type TaskSignature } from "../canvas/signature.ts";
import type { Call, CanvasCall, SignatureHost } from "../canvas/signature-host.ts";
import { AlreadyRegistered, ImproperlyConfigured } from "../errors.ts";
import type { SignatureData } from "../protocol/wire.ts";
import { currentExecution } from "./current.ts";
import type { CallArguments } from "./kw.ts";
import { type AnyTaskOptions, checkTaskName } from "./options.ts";
import type { DefinedTask } from "./registry.ts";
import type { OnCommitSendOptions, SendOptions } from "./send-types.ts";
import { type MapOf, TaskHandle, type TaskHost } from "./task.ts";
import type { Task, TaskFactory } from "./task-types.ts";

/** An app, as shared tasks see it. */
export interface SharedHost {
  readonly app: Celery;
  readonly calls: TaskHost & SignatureHost;
  /** Registers what is not registered yet. Does nothing before the app was put to use. */
  bindShared(): void;
  /** Registers one task now: it is being called. */
  adopt(task: DefinedTask): void;
}

interface Shared extends DefinedTask {
  /** Whose discovery loaded the module; null: none's. Written by `claimShared`. */
  owner: WeakRef<SharedHost> | null;
}

const shared = new Map<string, Shared>();
/** Open apps. An app that nobody holds any more may go. */
const hosts = new WeakMap<Celery, SharedHost>();
/** The same, oldest first. Written by `addHost` and `removeHost`. */
let order: readonly WeakRef<SharedHost>[] = [];
let chosen: SharedHost | null = null;

/** A new app. Until another comes, or one is chosen, it is the default. */
export function addHost(host: SharedHost): void {
  hosts.set(host.app, host);
  order = [...order.filter((one) => one.deref() !== undefined), new WeakRef(host)];
}

/** The app was closed. */
export function removeHost(host: SharedHost): void {
  hosts.delete(host.app);
  order = order.filter((one) => one.deref() !== host);
  if (chosen === host) chosen = null;
}

function* openHosts(): Iterable<SharedHost> {
  for (const one of order) {
    const host = one.deref();
    if (host !== undefined) yield host;
  }
}

/** `app.setDefault()`. */
export function chooseHost(host: SharedHost): void {
  chosen = host;
}

/** All shared tasks so far. */
export function sharedTasks(): Iterable<DefinedTask> {
  return shared.values();
}

/** How many there are: what {@link claimShared} starts from. */
export function sharedCount(): number {
  return shared.size;
}

/** The shared tasks that were defined since there were `count` belong to `host`. */
export function claimShared(host: SharedHost, count: number): void {
  let index = 0;
  for (const task of shared.values()) {
    if (index >= count && task.owner === null) task.owner = new WeakRef(host);
    index += 1;
  }
}

function hostFor(name: string): SharedHost {
  const running = currentExecution()?.context.app;
  const task = shared.get(name);
  const owner = task?.owner?.deref();
  const host =
    (running === undefined ? undefined : hosts.get(running)) ??
    (owner === undefined ? undefined : hosts.get(owner.app)) ??
    chosen ??
    [...openHosts()].at(-1);
  if (host === undefined) {
    throw new ImproperlyConfigured(
      `the shared task ${JSON.stringify(name)} was used before there is an app: create one first, with new Celery("…")`,
      { code: "PET_APP_NOT_FOUND" },
    );
  }
  if (task !== undefined) host.adopt(task);
  return host;
}

/** Passes each call on to the app of the moment. A missing app is a rejection where a promise is given. */
const anyHost: TaskHost & SignatureHost = {
  appOf: (task: string): Celery => hostFor(task).app,
  async send(
    task: string,
    given: readonly unknown[],
    options: SendOptions | undefined,
  ): Promise<AsyncResult<unknown>> {
    return hostFor(task).calls.send(task, given, options);
  },
  async sendMany(
    task: string,
    calls: readonly (readonly unknown[])[],
  ): Promise<readonly AsyncResult<unknown>[]> {
    return hostFor(task).calls.sendMany(task, calls);
  },
  sendOnCommit: (
    task: string,
    given: readonly unknown[],
    options: OnCommitSendOptions | undefined,
  ): AsyncResult<unknown> => hostFor(task).calls.sendOnCommit(task, given, options),
  sign: (task: string, given: readonly unknown[], immutable: boolean): TaskSignature =>
    hostFor(task).calls.sign(task, given, immutable),
  signMap: (task: string, map: MapOf): TaskSignature | CanvasSignature =>
    hostFor(task).calls.signMap(task, map),
  async run(task: string, given: readonly unknown[]): Promise<unknown> {
    return hostFor(task).calls.run(task, given);
  },
  async apply(
    task: string,
    given: readonly unknown[],
    options: SendOptions | undefined,
  ): Promise<AsyncResult<unknown>> {
    return hostFor(task).calls.apply(task, given, options);
  },
  result: (task: string, id: string): AsyncResult<unknown> => hostFor(task).calls.result(task, id),
  async sendCall(call: Call): Promise<AsyncResult<unknown>> {
    return hostFor(call.task).calls.sendCall(call);
  },
  async applyCall(call: Call): Promise<AsyncResult<unknown>> {
    return hostFor(call.task).calls.applyCall(call);
  },
  async sendCanvas(signature: SignatureData, given: CanvasCall): Promise<AsyncResult<unknown>> {
    return hostFor(signature.task).calls.sendCanvas(signature, given);
  },
  async applyCanvas(signature: SignatureData, given: CanvasCall): Promise<AsyncResult<unknown>> {
    return hostFor(signature.task).calls.applyCanvas(signature, given);
  },
  async addToChord(
    signature: SignatureData,
    group: string,
    newId: () => string,
  ): Promise<AsyncResult<unknown>> {
    return hostFor(signature.task).calls.addToChord(signature, group, newId);
  },
  split: (task: string, given: readonly unknown[]): CallArguments => hostFor(task).calls.split(task, given),
};

/** The app of the moment, for what has none: a chain without steps. */
export const currentHost: SignatureHost = anyHost;

/** A signature from Celery's JSON form. It is sent by the app of the moment, as a shared task is. */
export function signatureFrom(data: SignatureData): AnySignature {
  return signatureFromData(anyHost, data) as AnySignature;
}

/** Name, options and function, as given to `app.task` and {@link sharedTask}, which have two forms. */
export function taskParts(
  name: unknown,
  optionsOrFn: unknown,
  fn: unknown,
): { readonly name: string; readonly options: AnyTaskOptions; readonly fn: DefinedTask["fn"] } {
  checkTaskName(name);
  const short = fn === undefined;
  const call = short ? optionsOrFn : fn;
  const options = short ? {} : optionsOrFn;
  if (typeof call !== "function")
    throw invalid(`task ${JSON.stringify(name)} has no function: give it last, app.task(name, options, fn)`);
  if (typeof options !== "object" || options === null)
    throw invalid(`task ${JSON.stringify(name)}: options must be an object`);
  return { name, options: options, fn: call as DefinedTask["fn"] };
}

function invalid(message: string): ImproperlyConfigured {
  return new ImproperlyConfigured(message, { code: "PET_TASK_INVALID" });
}

function share(name: unknown, optionsOrFn: unknown, fn?: unknown): Task<never, unknown> {
  const parts = taskParts(name, optionsOrFn, fn);
  if (shared.has(parts.name)) throw new AlreadyRegistered(parts.name);
  const handle = new TaskHandle(parts.name, anyHost) as unknown as Task<never, unknown>;
  shared.set(parts.name, { ...parts, errbackStyle: "id", handle, owner: null });
  for (const host of openHosts()) host.bindShared();
  return handle;
}

/** A task of whatever app is current when it is used, for modules that do not know their app. */
export const sharedTask: TaskFactory = share as unknown as TaskFactory;
