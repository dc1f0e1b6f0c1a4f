/** The user, the group and the file mode mask that a process goes on with. Python: `celery.platforms.maybe_drop_privileges`. */
import { execFileSync } from "node:child_process";
import { PetioleError } from "../../errors.ts";

export interface Privileges {
  /** Name or number. */
  readonly uid?: string | number | undefined;
  readonly gid?: string | number | undefined;
  readonly umask?: number | undefined;
}

/** The types of Node leave one of them out. */
type Posix = NodeJS.Process & {
  readonly initgroups?: (user: string | number, extraGroup: string | number) => void;
};

/**
 * Groups first, then the group, then the user: after that there is no way back, which is tried.
 *
 * @throws PetioleError `PET_DAEMON`
 */
export function dropPrivileges({ uid, gid, umask }: Privileges): void {
  if (umask !== undefined) process.umask(umask);
  if (uid === undefined && gid === undefined) return;
  const { geteuid, setgid, setuid, setgroups, initgroups } = process as Posix;
  if (!geteuid || !setgid || !setuid || !setgroups || !initgroups) {
    throw new PetioleError("PET_DAEMON", "--uid and --gid are not there on this system");
  }
  const user = uid === undefined ? null : userOf(uid);
  const group = gid === undefined ? (user?.gid ?? null) : groupOf(gid);
  if (group === null) {
    throw new PetioleError(
      "PET_DAEMON",
      `--uid ${uid}: the system does not say its group: give it with --gid`,
    );
  }
  if (isAlready(user?.uid ?? null, group)) return;
  if (geteuid.call(process) !== 0) {
    throw new PetioleError(
      "PET_DAEMON",
      "--uid and --gid: only root may change to another user or group: start it as root, or leave them out",
    );
  }
  try {
    if (user?.name) initgroups.call(process, user.name, group);
    else setgroups.call(process, [group]);
    setgid.call(process, group);
    if (user !== null) setuid.call(process, user.uid);
  } catch (cause) {
    throw new PetioleError("PET_DAEMON", `--uid, --gid: ${(cause as Error).message}`, { cause });
  }
  if (user !== null && user.uid !== 0 && canBeRootAgain()) {
    throw new PetioleError("PET_DAEMON", "--uid: the process could become root again: it does not go on");
  }
}

function isAlready(uid: number | null, gid: number): boolean {
  return (uid === null || process.geteuid?.() === uid) && process.getegid?.() === gid;
}

function canBeRootAgain(): boolean {
  try {
    process.setuid?.(0);
    return true;
  } catch {
    return false;
  }
}

interface User {
  readonly uid: number;
  /** null: not in the system's list of users. */
  readonly name: string | null;
  readonly gid: number | null;
}

function userOf(given: string | number): User {
  const word = String(given);
  const uid = ask("-u", word);
  if (uid !== null) return { uid: Number(uid), name: ask("-un", word), gid: numberOr(ask("-g", word)) };
  if (/^\d+$/.test(word)) return { uid: Number(word), name: null, gid: null };
  throw new PetioleError("PET_DAEMON", `--uid: there is no user ${JSON.stringify(word)}`);
}

function groupOf(given: string | number): number {
  const word = String(given);
  if (/^\d+$/.test(word)) return Number(word);
  const line = output("getent", ["group", word]);
  const gid = line === null ? Number.NaN : Number(line.split(":")[2]);
  if (Number.isSafeInteger(gid)) return gid;
  throw new PetioleError("PET_DAEMON", `--gid: there is no group ${JSON.stringify(word)}`);
}

function numberOr(text: string | null): number | null {
  return text === null ? null : Number(text);
}

function ask(what: string, user: string): string | null {
  return output("id", [what, "--", user]);
}

/** The system's own programs know of users that are in no file. */
function output(program: string, words: readonly string[]): string | null {
  try {
    return execFileSync(program, words, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  } catch {
    return null;
  }
}
