/**
 * What a Redis error means for us. One table decides; nothing else looks at error texts.
 *
 * | kind | server says | handling |
 * |---|---|---|
 * | oom | maxmemory reached, command not run | report: publishing backs off, fetch and finish go on |
 * | misconf, noreplicas | refuses writes for now | pause: no fetch, leases are still renewed |
 * | noscript | script cache was flushed | resend: EVAL with the text, once |
 * | busy | a script runs too long | wait: keep the connection |
 * | noperm, wrongtype, crossslot | will not change by itself | stop, with a named error |
 * | noauth | password missing or wrong | stop |
 * | unsupported | too old a version | stop |
 * | readonly, loading, masterdown, clusterdown, unblocked, maxclients | this connection is of no use now | reconnect |
 * | connection | socket lost, deadline over | reconnect |
 * | other | | report |
 */
import { OperationalError, type PublishOutcome } from "../errors.ts";

export type RedisErrorKind =
  | "oom"
  | "misconf"
  | "noreplicas"
  | "noscript"
  | "busy"
  | "noperm"
  | "wrongtype"
  | "crossslot"
  | "noauth"
  | "unsupported"
  | "readonly"
  | "loading"
  | "masterdown"
  | "clusterdown"
  | "unblocked"
  | "maxclients"
  | "connection"
  | "other";

export type RedisErrorHandling = "report" | "pause" | "resend" | "wait" | "stop" | "reconnect";

export const HANDLING: Readonly<Record<RedisErrorKind, RedisErrorHandling>> = {
  oom: "report",
  misconf: "pause",
  noreplicas: "pause",
  noscript: "resend",
  busy: "wait",
  noperm: "stop",
  wrongtype: "stop",
  crossslot: "stop",
  noauth: "stop",
  unsupported: "stop",
  readonly: "reconnect",
  loading: "reconnect",
  masterdown: "reconnect",
  clusterdown: "reconnect",
  unblocked: "reconnect",
  maxclients: "reconnect",
  connection: "reconnect",
  other: "report",
};

/** First word of a reply -> kind. */
const CODES: Readonly<Record<string, RedisErrorKind>> = {
  OOM: "oom",
  MISCONF: "misconf",
  NOREPLICAS: "noreplicas",
  NOSCRIPT: "noscript",
  BUSY: "busy",
  NOPERM: "noperm",
  WRONGTYPE: "wrongtype",
  CROSSSLOT: "crossslot",
  MOVED: "crossslot",
  NOAUTH: "noauth",
  WRONGPASS: "noauth",
  READONLY: "readonly",
  LOADING: "loading",
  MASTERDOWN: "masterdown",
  CLUSTERDOWN: "clusterdown",
  TRYAGAIN: "clusterdown",
  UNBLOCKED: "unblocked",
};

/** Redis 6.2 wraps what a script's command said: `ERR Error running script (…): @user_script:3: -OOM command not …`. */
const WRAPPED = /@user_script:\s?\d+:\s*-?([A-Z]+)\b/;

/** The kind of an error reply's text. */
export function classifyReply(text: string): RedisErrorKind {
  const code = /^[A-Z]+/.exec(text)?.[0] ?? "";
  const direct = CODES[code];
  if (direct !== undefined) return direct;
  if (/ACL failure in script|has no permissions to/.test(text)) return "noperm";
  if (/max number of clients/.test(text)) return "maxclients";
  if (/without any password configured|no password is set|invalid password/.test(text)) return "noauth";
  const inner = WRAPPED.exec(text)?.[1];
  return (inner === undefined ? undefined : CODES[inner]) ?? "other";
}

/** An error of Redis or of the way to it. */
export class RedisError extends OperationalError {
  readonly kind: RedisErrorKind;
  /** The words of the server; null where it is not the server that refused. */
  readonly reply: string | null;
  constructor(
    kind: RedisErrorKind,
    message: string,
    options?: ErrorOptions & { readonly outcome?: PublishOutcome; readonly reply?: string },
  ) {
    super(message, {
      ...options,
      code: HANDLING[kind] === "stop" ? "PET_BROKER_REFUSED" : "PET_BROKER_UNREACHABLE",
    });
    // To users it is the public class.
    this.name = "OperationalError";
    this.kind = kind;
    this.reply = options?.reply ?? null;
  }
}

/** What to do about an error of a given kind, for messages. */
const ADVICE: Partial<Record<RedisErrorKind, string>> = {
  oom: "the server is over maxmemory: free memory or raise the limit",
  misconf: "the server cannot persist and refuses writes: look at its disk and log",
  noreplicas: "the server has fewer replicas than min-replicas-to-write",
  noperm: "the user's ACL does not allow it: see the ACL recipe in the documentation",
  wrongtype: "a key that belongs to the queue holds something else: rename or delete it",
  crossslot: "Redis Cluster is served only with a global_keyprefix that has one hash tag, such as {celery}",
  noauth: "check user name and password",
  readonly: "this server is a replica",
  loading: "the server is loading its data",
  busy: "a script of somebody runs too long",
};

/** An error reply as a `RedisError`. `operation` says what was tried, in plain words. */
export function replyError(text: string, operation: string): RedisError {
  const kind = classifyReply(text);
  const advice = ADVICE[kind];
  return new RedisError(kind, `Redis refused ${operation}: ${text}${advice ? ` (${advice})` : ""}`, {
    reply: text,
    // A command that is refused was not run; a script may have been stopped in the middle.
    outcome: kind === "other" ? "unknown" : "not sent",
  });
}
