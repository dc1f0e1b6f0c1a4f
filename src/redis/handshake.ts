/**
 * The first commands of a connection: protocol, user, name, database. In one write; a server without RESP3 (or a user that may
 * not say HELLO) costs a second one.
 */
import { RedisError, replyError } from "./errors.ts";
import type { RedisArg } from "./resp-writer.ts";
import type { RedisAddress } from "./url.ts";

export interface HandshakeOptions {
  readonly address: Pick<RedisAddress, "username" | "password" | "db" | "redacted">;
  readonly protocol: 2 | 3;
  /** `CLIENT SETNAME`; null sets none. */
  readonly clientName: string | null;
}

type Commands = (readonly [string, ...RedisArg[]])[];

/** HELLO is not known, or not allowed: the older commands may do. */
const WITHOUT_HELLO = /unknown command|NOPROTO|NOPERM/i;

/**
 * Rejects with a `RedisError`.
 *
 * @param send sends commands in one write; a refused one is a `RedisError` in its place
 */
export async function shakeHands(
  send: (commands: Commands) => Promise<unknown[]>,
  options: HandshakeOptions,
): Promise<void> {
  const { address, protocol } = options;
  const name = (options.clientName ?? "").replace(/[\s\r\n]+/g, "_");
  const user = address.password === null ? [] : [address.username ?? "default", address.password];
  const select: Commands = address.db === 0 ? [] : [["select", address.db]];
  const check = (reply: unknown): void => {
    if (reply instanceof RedisError) {
      throw replyError(reply.reply ?? reply.message, `the connection to ${address.redacted}`);
    }
  };
  if (protocol === 3) {
    const auth = user.length === 0 ? [] : ["AUTH", ...user];
    const naming = name === "" ? [] : ["SETNAME", name];
    const [greeting, selected] = await send([["hello", "3", ...auth, ...naming], ...select]);
    if (!(greeting instanceof RedisError && WITHOUT_HELLO.test(greeting.reply ?? ""))) {
      check(greeting);
      check(selected);
      return;
    }
  }
  const auth: Commands = user.length === 0 ? [] : [["auth", ...user]];
  // A name that is refused is no reason to do without the server.
  const naming: Commands = name === "" ? [] : [["client", "setname", name]];
  const replies = await send([...auth, ...select, ...naming]);
  for (const reply of replies.slice(0, auth.length + select.length)) check(reply);
}
