/** What a child of the pool is told first: which app to load, and how. */
import type { Celery } from "../app/app.ts";

/** How a child process or thread finds the app: what `-A` and its companions say. */
export interface AppModule {
  /** Path, file URL or package, with `:export` where there are several apps. */
  readonly module: string;
  /** `--config`. */
  readonly config?: string | null | undefined;
  /** Settings over those of the module. */
  readonly settings?: Readonly<Record<string, unknown>> | undefined;
  /** More modules with tasks. */
  readonly include?: readonly string[] | undefined;
}

/** Lays what the command line says over an app: the same in a worker and in each of its children. */
export function configure(app: Celery, { config, settings, include }: Omit<AppModule, "module">): void {
  if (config) app.configFromObject(config);
  if (settings) app.conf.update(settings);
  if (include) app.conf.update({ include: [...(app.conf.include ?? []), ...include] });
}

/** Plain data: it crosses a process border. */
export interface ChildInit {
  readonly app: AppModule;
  readonly hostname: string;
  /** Log lines below this level are not wanted. */
  readonly least: "debug" | "info" | "warn" | "error";
  readonly reportMemory: boolean;
}
