/** What a command talks to: the process, or a test's stand-in. */
export interface Io {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** Results. */
  out(text: string): void;
  /** Everything else. */
  err(text: string): void;
  /** Of the terminal that shows `err`; null where there is none. */
  readonly columns: number | null;
  /** One line that the user types; null at the end of the input. */
  ask(question: string): Promise<string | null>;
}

/** What the words of the command line, and the environment, came to. */
export interface Invocation {
  readonly globals: GlobalOptions;
  /** Options of the command by name; a switch is true, what was not given is not there. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly args: readonly string[];
  readonly io: Io;
}

export interface GlobalOptions {
  readonly app: string | null;
  readonly broker: string | null;
  readonly resultBackend: string | null;
  readonly config: string | null;
  readonly workdir: string | null;
  readonly color: boolean;
  readonly quiet: boolean;
  /** The variable that gave the app, when it was no option: errors name it. */
  readonly appFrom: string | null;
}

/** Ends with this exit code, everything having been said. */
export type Command = (invocation: Invocation) => Promise<ExitCode>;

/** Celery's: 64 the command line is wrong, 69 something does not answer, 73 a worker of this pid file runs, 1 anything else. */
export type ExitCode = 0 | 1 | 64 | 69 | 73;
