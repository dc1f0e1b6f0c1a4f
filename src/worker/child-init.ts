/** What a child of the pool is told first: which app to load, and how. */

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

/** Plain data: it crosses a process border. */
export interface ChildInit {
  readonly app: AppModule;
  readonly hostname: string;
  /** Log lines below this level are not wanted. */
  readonly least: "debug" | "info" | "warn" | "error";
  readonly reportMemory: boolean;
}
