/** The session and pub/sub against real servers, and against one that lies. */
import { createServer, type Server } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { silentLogger } from "../../src/base/logger.ts";
import type { ConnectionState } from "../../src/redis/connection-states.ts";
import { RedisError } from "../../src/redis/errors.ts";
import { RedisPubSub } from "../../src/redis/pubsub.ts";
import { luaScript } from "../../src/redis/scripts.ts";
import { RedisSession, type SessionOptions } from "../../src/redis/session.ts";
import { parseRedisUrl } from "../../src/redis/url.ts";
import { eventually } from "../support/eventually.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";

const never = new AbortController().signal;
const opened: { stop(): void }[] = [];

function options(url: string, more: Partial<SessionOptions> = {}): SessionOptions {
  return {
    address: parseRedisUrl(url),
    clock: systemClock,
    logger: silentLogger,
    clientName: null,
    ...more,
  };
}

function session(url: string, more: Partial<SessionOptions> = {}): RedisSession {
  const made = new RedisSession(options(url, more));
  opened.push(made);
  return made;
}

async function failureOf(promise: Promise<unknown>): Promise<RedisError> {
  const error = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(error instanceof Error)) throw new Error("it did not reject");
  return error as RedisError;
}

afterEach(() => {
  for (const one of opened.splice(0)) one.stop();
});

describe("a session", () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await startRedis();
  });
  afterAll(() => server.stop());

  test("learns what the server is, and names itself", async () => {
    const one = session(`${server.url}/2`, { clientName: "petiole worker@host" });
    await one.start(never);
    expect(one.facts).toMatchObject({ db: 2, selectAllowed: true, protocol: 3 });
    expect(one.facts?.version).toMatch(/^\d+\.\d+\.\d+$/);
    expect(one.facts?.runId).toMatch(/^[0-9a-f]{40}$/);
    expect(await one.command("client", ["getname"])).toBe("petiole_worker@host");
  });

  test("goes through the states of the table", async () => {
    const states: ConnectionState[] = [];
    const one = session(server.url, { onState: (state) => states.push(state) });
    await one.start(never);
    one.stop();
    expect(states).toEqual(["dialling", "priming", "reclaiming", "live", "closed"]);
  });

  test("a command that is refused is a RedisError and leaves the others alone", async () => {
    const one = session(server.url);
    await one.start(never);
    await one.command("set", ["text", "x"]);
    const [value, refused, after] = await one.pipeline([["get", "text"], ["lpush", "text", "1"], ["ping"]]);
    expect([value, after]).toEqual(["x", "PONG"]);
    expect(refused).toMatchObject({ kind: "wrongtype", code: "PET_BROKER_REFUSED", outcome: "not sent" });
    expect(JSON.stringify(refused)).not.toContain("lpush");
  });

  test.each([2, 3] as const)(
    "RESP%i: SUBSCRIBE is answered once for each channel, and the next command by its own reply",
    async (protocol) => {
      const one = session(server.url, { protocol });
      await one.start(never);
      const heard: unknown[][] = [];
      if (one.connection === null) throw new Error("it is not live");
      one.connection.onMessage = (...message) => heard.push(message);
      const [, , pong] = await one.pipeline([
        ["subscribe", "a", "b", "c"],
        ["psubscribe", "d*", "e*"],
        ["ping"],
      ]);
      // RESP2 answers a subscriber's PING as a list.
      expect([pong].flat()).toContain(protocol === 3 ? "PONG" : "pong");
      await server.command("PUBLISH", "b", "x");
      await server.command("PUBLISH", "dd", "y");
      await eventually("both are heard", () => heard.length === 2);
      expect(heard).toEqual([
        ["b", "x", null],
        ["dd", "y", "d*"],
      ]);
      await one.command("unsubscribe", ["a", "b"]);
      expect([await one.command("ping", ["z"])].flat()).toContain("z");
    },
  );

  test("a connection that is killed is replaced", async () => {
    const one = session(server.url);
    await one.start(never);
    const id = await one.command("client", ["id"]);
    await server.command("CLIENT", "KILL", "ID", String(id));
    const next = await eventually("a new connection", async () => {
      const now = await one.command("client", ["id"]);
      return now !== id && now;
    });
    expect(Number(next)).toBeGreaterThan(Number(id));
  });

  test("a silent server: the deadline ends the connection, the command is unknown, later ones are not sent", async () => {
    const own = await startRedis();
    try {
      const one = session(own.url, { commandMs: 300, dialMs: 300 });
      await one.start(never);
      await own.kill("SIGSTOP");
      const started = performance.now();
      const failure = await failureOf(one.command("set", ["a", "1"]));
      expect([failure.kind, failure.outcome]).toEqual(["connection", "unknown"]);
      expect(performance.now() - started).toBeLessThan(3000);
      expect((await failureOf(one.command("get", ["a"]))).outcome).toBe("not sent");
      await own.kill("SIGCONT");
      await one.live(null).catch(() => one.live(null));
      expect(await one.command("ping", [])).toBe("PONG");
    } finally {
      await own.kill("SIGCONT");
      await own.stop();
    }
  });

  test("a server that stops: one attempt fails, live() makes one at once, and the session comes back by itself", async () => {
    const own = await startRedis();
    try {
      const one = session(own.url, { backoffCapMs: 200 });
      await one.start(never);
      await own.kill("SIGKILL");
      await eventually("the loss was seen", () => one.state !== "live");
      const failure = await failureOf(one.live(null));
      expect(failure.message).toContain("cannot connect");
      await own.restart();
      await eventually("it is live again", () => one.state === "live");
    } finally {
      await own.stop();
    }
  });

  test("start makes one attempt and may be called again", async () => {
    const own = await startRedis();
    const one = session(own.url);
    await own.kill("SIGKILL");
    const failure = await failureOf(one.start(never));
    expect([failure.code, failure.outcome, one.state]).toEqual([
      "PET_BROKER_UNREACHABLE",
      "not sent",
      "idle",
    ]);
    await own.restart();
    await one.start(never);
    expect(one.state).toBe("live");
    await own.stop();
  });

  test("aborting a start, or a wait for the connection, rejects and changes nothing else", async () => {
    const one = session(server.url);
    await expect(one.start(AbortSignal.abort())).rejects.toThrow("aborted");
    expect(one.state).toBe("idle");
    expect((await failureOf(one.live(AbortSignal.abort()))).outcome).toBe("not sent");
    await one.start(never);
  });

  test("after stop everything rejects as closed", async () => {
    const one = session(server.url);
    await one.start(never);
    const inFlight = failureOf(one.command("ping", []));
    one.stop();
    expect((await inFlight).kind).toBe("connection");
    expect((await failureOf(one.command("ping", []))).code).toBe("PET_CLOSED");
    expect((await failureOf(one.live(null))).code).toBe("PET_CLOSED");
    expect((await failureOf(one.start(never))).code).toBe("PET_CLOSED");
    one.stop();
  });

  test("a script survives SCRIPT FLUSH, also when several are on their way", async () => {
    const script = luaScript("echo", "return ARGV[1]");
    const one = session(server.url, { scripts: [script] });
    await one.start(never);
    await server.command("SCRIPT", "FLUSH");
    const calls = ["a", "b", "c"].map((text) => one.script(script, { keys: [], args: [text] }));
    expect(await Promise.all(calls)).toEqual(["a", "b", "c"]);
  });

  test("reclaim runs on every connection before others may use it, and its failure is a failed attempt", async () => {
    let fail = false;
    const seen: string[] = [];
    const one = session(server.url, {
      backoffCapMs: 50,
      reclaim: async (connection) => {
        seen.push(String(await connection.command("echo", ["reclaimed"])));
        if (fail) {
          fail = false;
          throw new Error("not yet");
        }
      },
    });
    await one.start(never);
    fail = true;
    one.reset(new RedisError("connection", "test"));
    await eventually("it is live again", () => one.state === "live" && seen.length === 3);
    expect(seen).toEqual(["reclaimed", "reclaimed", "reclaimed"]);
  });

  test("a server that became a replica is left: READONLY ends the connection", async () => {
    const own = await startRedis();
    const states: ConnectionState[] = [];
    const one = session(own.url, { onState: (state) => states.push(state), backoffCapMs: 50 });
    await one.start(never);
    await own.command("REPLICAOF", "127.0.0.1", "1");
    expect((await failureOf(one.command("set", ["a", "1"]))).kind).toBe("readonly");
    expect((await failureOf(one.live(null))).message).toContain("replica");
    await own.command("REPLICAOF", "NO", "ONE");
    await eventually("it is live again", () => one.state === "live");
    expect(await one.command("set", ["a", "1"])).toBe("OK");
    await own.stop();
  });

  test("unix socket", async () => {
    const one = session(`redis+socket://${server.socketPath}?virtual_host=1`);
    await one.start(never);
    expect(one.facts?.db).toBe(1);
    expect(await one.command("ping", [])).toBe("PONG");
  });

  test("TLS: verified by default, a private authority by URL, no verification only when asked", async () => {
    const own = await startRedis({ tls: true });
    try {
      const refused = await failureOf(session(own.url).start(never));
      expect(refused.message).toMatch(/certificate/i);
      const trusted = session(`${own.url}?ssl_ca_certs=${own.caFile}`);
      await trusted.start(never);
      expect(await trusted.command("ping", [])).toBe("PONG");
      const unchecked = session(`${own.url}?ssl_cert_reqs=none`);
      await unchecked.start(never);
      expect(await unchecked.command("ping", [])).toBe("PONG");
    } finally {
      await own.stop();
    }
  });

  test("a wrong password is refused, without the password in the message", async () => {
    const own = await startRedis();
    try {
      await own.command("CONFIG", "SET", "requirepass", "right-one");
      const url = own.url.replace("//", "//:wrong-one@");
      const failure = await failureOf(session(url).start(never));
      expect([failure.code, failure.kind]).toEqual(["PET_BROKER_REFUSED", "noauth"]);
      expect(`${failure.message} ${failure.stack} ${JSON.stringify(failure)}`).not.toContain("wrong-one");
      expect(JSON.stringify((failure.cause as Error) ?? null)).not.toContain("wrong-one");
      const none = await failureOf(session(own.url).start(never));
      expect([none.code, none.kind]).toEqual(["PET_BROKER_REFUSED", "noauth"]);
      const right = session(own.url.replace("//", "//:right-one@"));
      await right.start(never);
    } finally {
      await own.stop();
    }
  });

  test("a user whose ACL has no INFO and no SELECT is served, and its server is nobody else's", async () => {
    const own = await startRedis();
    try {
      await own.command("ACL", "SETUSER", "app", "on", ">pw", "~*", "&*", "+@all", "-info", "-select");
      const one = session(own.url.replace("//", "//app:pw@"));
      await one.start(never);
      expect(one.facts).toMatchObject({ runId: null, selectAllowed: false });
      expect(one.facts?.version).toMatch(/^\d/);
    } finally {
      await own.stop();
    }
  });
});

/** Answers every command line by line as it is told. */
function fakeServer(answer: (command: string) => string): Promise<{ url: string; server: Server }> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      const words = chunk
        .toString()
        .split("\r\n")
        .filter((line) => line !== "" && !/^[*$]\d+$/.test(line));
      for (const word of words) if (/^[a-z]+$/i.test(word)) socket.write(answer(word.toLowerCase()));
    });
  });
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      resolve({ url: `redis://127.0.0.1:${typeof address === "object" ? address?.port : 0}`, server });
    });
  });
}

describe("a server that is not what it should be", () => {
  test("Redis 5 is refused with its version", async () => {
    const info = "redis_version:5.0.14\r\nrun_id:x\r\n";
    const { url, server } = await fakeServer((command) => {
      if (command === "hello") return "-ERR unknown command `HELLO`, with args beginning with: \r\n";
      if (command === "ping") return "+PONG\r\n";
      if (command === "info") return `$${info.length}\r\n${info}\r\n`;
      return command === "eval" ? ":0\r\n" : "";
    });
    const failure = await failureOf(session(url).start(never));
    expect(failure.code).toBe("PET_BROKER_REFUSED");
    expect(failure.message).toContain("is Redis 5.0.14; 6.2 or newer");
    server.close();
  });

  test("a server that is loading is not live", async () => {
    const { url, server } = await fakeServer((command) =>
      command === "hello" ? "%1\r\n+proto\r\n:3\r\n" : "-LOADING Redis is loading the dataset in memory\r\n",
    );
    const failure = await failureOf(session(url).start(never));
    expect([failure.kind, failure.code]).toEqual(["loading", "PET_BROKER_UNREACHABLE"]);
    server.close();
  });

  test("what is no Redis at all, and what accepts and says nothing, end the attempt", async () => {
    const web = await fakeServer(() => "HTTP/1.1 400 Bad Request\r\n\r\n");
    expect((await failureOf(session(web.url).start(never))).code).toBe("PET_BROKER_UNREACHABLE");
    web.server.close();
    const mute = await fakeServer(() => "");
    const failure = await failureOf(session(mute.url, { dialMs: 200 }).start(never));
    expect(failure.message).toContain("200 ms");
    mute.server.close();
  });
});

describe("pub/sub", () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await startRedis();
  });
  afterAll(() => server.stop());

  function pubsub(): RedisPubSub {
    const made = new RedisPubSub(options(server.url, { backoffCapMs: 50 }));
    opened.push(made);
    return made;
  }

  test("many subscriptions of one turn share a command", async () => {
    const one = pubsub();
    await one.subscribe({ channel: "warm-up", listener: () => {} });
    await server.command("CONFIG", "RESETSTAT");
    const heard: string[] = [];
    const channels = Array.from({ length: 50 }, (_, i) => `c${i}`);
    await Promise.all(
      channels.map((channel) =>
        one.subscribe({ channel, listener: (text, on) => heard.push(`${on}:${text}`) }),
      ),
    );
    const stats = await server.command("INFO", "commandstats");
    expect(/cmdstat_subscribe:calls=(\d+)/.exec(stats)?.[1]).toBe("1");
    for (const channel of channels) await server.command("PUBLISH", channel, "x");
    await eventually("all were heard", () => heard.length === 50);
  });

  test("a channel with two listeners is left when both are gone, and can be joined again", async () => {
    const one = pubsub();
    const heard: string[] = [];
    const first = await one.subscribe({ channel: "two", listener: () => heard.push("first") });
    const second = await one.subscribe({ channel: "two", listener: () => heard.push("second") });
    await server.command("PUBLISH", "two", "x");
    await eventually("both heard", () => heard.length === 2);
    first.close();
    first.close();
    await server.command("PUBLISH", "two", "x");
    await eventually("one heard", () => heard.length === 3);
    second.close();
    expect(one.size).toBe(0);
    await eventually(
      "it is left",
      async () => (await server.command("PUBSUB", "NUMSUB", "two")) === "two\n0",
    );
    await one.subscribe({ channel: "two", listener: () => heard.push("third") });
    await server.command("PUBLISH", "two", "x");
    await eventually("heard again", () => heard.at(-1) === "third");
  });

  test("after a lost connection everything is subscribed again and the gap is told", async () => {
    const one = pubsub();
    const heard: string[] = [];
    let gaps = 0;
    const onGap = (): void => {
      gaps += 1;
    };
    await one.subscribe({ channel: "chan", listener: (text) => heard.push(text), onGap });
    await one.subscribe({ channel: "pat*", pattern: true, listener: (text) => heard.push(text), onGap });
    await server.command("CLIENT", "KILL", "TYPE", "pubsub");
    await eventually("gaps were told", () => gaps === 2);
    await server.command("PUBLISH", "chan", "1");
    await server.command("PUBLISH", "pattern", "2");
    await eventually("both heard", () => heard.length === 2);
    expect(heard).toEqual(["1", "2"]);
  });

  test("a subscription made while the server is away stands when it is back", async () => {
    const own = await startRedis();
    await own.kill("SIGKILL");
    const one = new RedisPubSub(options(own.url, { backoffCapMs: 50 }));
    opened.push(one);
    const heard: string[] = [];
    let gaps = 0;
    const onGap = (): void => {
      gaps += 1;
    };
    const subscription = one.open({ channel: "later", listener: (text) => heard.push(text), onGap });
    await expect(subscription.ready).rejects.toThrow("cannot connect");
    await own.restart();
    await eventually("the gap before the first connection was told", () => gaps === 1);
    await eventually("it is heard", async () => {
      await own.command("PUBLISH", "later", "x");
      return heard.length > 0;
    });
    await own.stop();
  });

  test("RESP2 works too", async () => {
    const one = new RedisPubSub(options(server.url, { protocol: 2 }));
    opened.push(one);
    const heard: string[] = [];
    await one.subscribe({ channel: "old", listener: (text) => heard.push(text) });
    await one.subscribe({ channel: "ol*", pattern: true, listener: (text) => heard.push(text) });
    await server.command("PUBLISH", "old", "x");
    await eventually("heard twice", () => heard.length === 2);
    expect(heard).toEqual(["x", "x"]);
  });
});
