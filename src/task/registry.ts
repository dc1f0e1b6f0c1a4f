/** The tasks of one app. Python: `celery/app/registry.py`. */
import { AlreadyRegistered } from "../errors.ts";
import type { TaskDefinition } from "./definition.ts";
import { type AnyTaskOptions, annotate, resolveTaskOptions, type TaskDefaults } from "./options.ts";
import type { Task } from "./task-types.ts";

/** A task as it was defined. */
export interface DefinedTask {
  readonly name: string;
  readonly fn: (...args: readonly never[]) => unknown;
  readonly options: AnyTaskOptions;
  readonly errbackStyle: "id" | "request";
  /** What the user holds. */
  readonly handle: Task<never, unknown>;
}

/** A task with its options as sends and runs need them. */
export interface RegisteredTask {
  /** Under its annotations, without the settings' defaults: only these travel in a message's headers. */
  readonly own: AnyTaskOptions;
  readonly definition: TaskDefinition;
}

/** Tasks by name. Options are completed by {@link resolve}, once the settings are final. */
export class TaskTable {
  readonly #defined = new Map<string, DefinedTask>();
  readonly #handles = new Map<string, Task<never, unknown>>();
  readonly #own = new Map<string, AnyTaskOptions>();
  readonly #definitions = new Map<string, TaskDefinition>();
  /** null: settings may still change. Written by `resolve`. */
  #defaults: TaskDefaults | null = null;

  /** What users hold, by name. */
  get handles(): ReadonlyMap<string, Task<never, unknown>> {
    return this.#handles;
  }

  /** Complete after {@link resolve}. */
  get definitions(): ReadonlyMap<string, TaskDefinition> {
    return this.#definitions;
  }

  has(name: string): boolean {
    return this.#defined.has(name);
  }

  defined(name: string): DefinedTask | undefined {
    return this.#defined.get(name);
  }

  get(name: string): RegisteredTask | undefined {
    const definition = this.#definitions.get(name);
    return definition === undefined ? undefined : { own: this.#own.get(name) ?? {}, definition };
  }

  /** @throws AlreadyRegistered */
  add(task: DefinedTask): void {
    if (this.#defined.has(task.name)) throw new AlreadyRegistered(task.name);
    if (this.#defaults !== null) this.#complete(task, this.#defaults);
    this.#defined.set(task.name, task);
    this.#handles.set(task.name, task.handle);
  }

  /** Completes the options of all tasks, and of those that come later. Idempotent. */
  resolve(defaults: TaskDefaults): void {
    if (this.#defaults !== null) return;
    for (const task of this.#defined.values()) this.#complete(task, defaults);
    this.#defaults = defaults;
  }

  #complete(task: DefinedTask, defaults: TaskDefaults): void {
    const own = annotate(task.name, task.options, defaults);
    this.#own.set(task.name, own);
    this.#definitions.set(task.name, {
      name: task.name,
      fn: task.fn,
      bound: own.bind === true,
      options: resolveTaskOptions(own, defaults),
      input: own.input ?? null,
      output: own.output ?? null,
      params: own.params ?? null,
      errbackStyle: task.errbackStyle,
      handle: task.handle,
    });
  }
}
