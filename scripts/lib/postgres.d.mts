/** The folder of its programs; null: it is not installed. Debian's is not on PATH. */
export function postgresPrograms(): string | null;

export interface PostgresCluster {
  /** To be removed at the end. */
  readonly dir: string;
  readonly program: string;
  readonly args: (port: number) => readonly string[];
  /** For `spawn`: as root, the user that it runs as. */
  readonly spawnOptions: { readonly cwd: string; readonly uid?: number; readonly gid?: number };
  readonly url: (port: number) => string;
}

/** Makes a cluster in a folder of its own, with a user `petiole` that needs no password. Without durability: `-F`. */
export function makePostgres(): PostgresCluster;

/** Of a user of this machine, to start as it what refuses to run as root. */
export function idsOf(user: string): { readonly uid: number; readonly gid: number };
