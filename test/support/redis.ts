/**
 * A private `redis-server` for one test file: free loopback port, temporary directory, stopped by its pid.
 * Tests never use, flush or stop a server that they did not start.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect as connectTcp, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import { freePort } from "../../scripts/lib/ports.mjs";
import { type Certificate, makeCertificate } from "./certificate.ts";
import { trackProcess } from "./left-overs.ts";

export { freePort };

/** Time that a server has to answer PING, to stop on SIGTERM, and to answer one command. */
const READY_MS = 20_000;
const STOP_MS = 5_000;
const COMMAND_MS = 10_000;

export interface RedisOptions {
  /** Further arguments of `redis-server`, after ours, so that they win: `["--appendonly", "yes"]`. */
  readonly args?: readonly string[];
  /** Write an append-only file, fsynced on every write, so that `restart()` keeps the data. */
  readonly aof?: boolean;
  /** Serve TLS on `port` (and nothing in clear) with a certificate of our own; see `caFile`. Needs `openssl`. */
  readonly tls?: boolean;
  /** Another server program, for example `valkey-server`. Default: `$REDIS_SERVER`, else `redis-server`. */
  readonly binary?: string;
}

export interface RedisServer {
  /** `redis://127.0.0.1:PORT` without a database number, or `rediss://localhost:PORT`. */
  readonly url: string;
  readonly port: number;
  /** Of the process that runs now; changes with `restart()`. */
  readonly pid: number;
  readonly dir: string;
  /** The same server's unix socket. */
  readonly socketPath: string;
  /** Certificate to trust, with `tls`. */
  readonly caFile: string | undefined;
  /** What the server wrote to its log so far. */
  log(): string;
  /** One command on a connection of its own; the reply as text, arrays flattened one item a line. */
  command(...args: readonly string[]): Promise<string>;
  /** Stops the process and removes its directory. May be called twice. */
  stop(): Promise<void>;
  /** Sends a signal; waits for the end of the process unless it is SIGSTOP or SIGCONT. Default SIGKILL. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Stops the process if it runs, and starts it again on the same port and directory. */
  restart(): Promise<void>;
}

/** Servers of this process that still run; killed when it exits. */
const running = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

export async function startRedis(options: RedisOptions = {}): Promise<RedisServer> {
  const dir = mkdtempSync(join(process.env["PETIOLE_TEST_DIR"] ?? tmpdir(), "redis-"));
  const tls = options.tls === true ? makeCertificate(dir) : undefined;
  const socketPath = join(dir, "s");
  let lastError: unknown;
  // Somebody else may take the port between the look and the bind.
  for (let attempt = 0; attempt < 5; attempt += 1) {
    const port = await freePort();
    const start = (): Promise<ChildProcess> => launch({ dir, port, tls, socketPath, options });
    try {
      return handle({ dir, port, tls, socketPath, child: await start(), start });
    } catch (error) {
      lastError = error;
      if (!String(error).includes("ddress already in use")) break;
    }
  }
  rmSync(dir, { recursive: true, force: true });
  throw lastError;
}

interface Launch {
  readonly dir: string;
  readonly port: number;
  readonly tls: Certificate | undefined;
  readonly socketPath: string;
  readonly options: RedisOptions;
}

async function launch(setup: Launch): Promise<ChildProcess> {
  const { dir, port, tls, socketPath, options } = setup;
  const binary = options.binary ?? process.env["REDIS_SERVER"] ?? "redis-server";
  const logFile = join(dir, "log");
  const settings: Record<string, string> = {
    port: tls ? "0" : String(port),
    bind: "127.0.0.1",
    dir,
    logfile: logFile,
    unixsocket: socketPath,
    daemonize: "no",
    save: "",
    "protected-mode": "no",
    appendonly: options.aof === true ? "yes" : "no",
    appendfsync: "always",
  };
  if (tls) {
    settings["tls-port"] = String(port);
    settings["tls-cert-file"] = tls.certFile;
    settings["tls-key-file"] = tls.keyFile;
    settings["tls-ca-cert-file"] = tls.certFile;
    settings["tls-auth-clients"] = "no";
  }
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
  args.push(...(options.args ?? []));
  const child = spawn(binary, args, { stdio: ["ignore", "ignore", "pipe"] });
  running.add(child);
  let stderr = "";
  child.stderr.on("data", (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  let failure: Error | undefined;
  child.once("error", (error) => {
    failure = error;
  });
  child.once("exit", () => running.delete(child));
  trackProcess(child, binary);
  const deadline = Date.now() + READY_MS;
  for (;;) {
    if (failure) {
      running.delete(child);
      throw new Error(`${binary} cannot be started: run \`make servers\` for what to install`, {
        cause: failure,
      });
    }
    if (child.exitCode !== null || child.signalCode !== null) {
      throw new Error(`${binary} ended at once: ${stderr}${readText(logFile)}`);
    }
    const reply = await send(socketPath, ["PING"]).catch(() => "");
    if (reply === "PONG") return child;
    if (Date.now() > deadline) {
      child.kill("SIGKILL");
      throw new Error(`${binary} did not answer PING in ${READY_MS} ms: ${stderr}${readText(logFile)}`);
    }
    await pause(10);
  }
}

interface Running extends Omit<Launch, "options"> {
  child: ChildProcess;
  readonly start: () => Promise<ChildProcess>;
}

function handle(state: Running): RedisServer {
  const { dir, port, tls, socketPath } = state;
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    const { child } = state;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise<void>((resolve) => {
      child.once("exit", () => resolve());
    });
    child.kill(signal);
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
    await gone;
    clearTimeout(timer);
  };
  return {
    url: tls ? `rediss://localhost:${port}` : `redis://127.0.0.1:${port}`,
    port,
    dir,
    socketPath,
    caFile: tls?.certFile,
    get pid(): number {
      return state.child.pid ?? 0;
    },
    log: () => readText(join(dir, "log")),
    command: (...args) => send(socketPath, args),
    async stop() {
      await end("SIGTERM");
      rmSync(dir, { recursive: true, force: true });
    },
    async kill(signal = "SIGKILL") {
      if (signal === "SIGSTOP" || signal === "SIGCONT") state.child.kill(signal);
      else await end(signal);
    },
    async restart() {
      await end("SIGTERM");
      state.child = await state.start();
    },
  };
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

/** One command over a connection of its own, without a Redis client, so that the suites do not test one with itself. */
function send(path: string, args: readonly string[]): Promise<string> {
  return talk(connectTcp(path), args);
}

/** One command to the server of a `redis://host:port/db` URL, for processes that did not start it. */
export async function redisCommand(url: string, ...args: readonly string[]): Promise<string> {
  const { hostname, port, pathname } = new URL(url);
  const database = pathname.slice(1) || "0";
  const socket = connectTcp({ host: hostname, port: Number(port) });
  if (database === "0") return talk(socket, args);
  // A script runs in the database of its connection; SELECT first keeps this to one connection.
  return talk(socket, ["EVAL", SELECT_AND_CALL, "0", database, ...args]);
}

const SELECT_AND_CALL =
  "redis.call('SELECT', ARGV[1]) local a = {} for i = 2, #ARGV do a[#a + 1] = ARGV[i] end return redis.call(unpack(a))";

/** As `RedisServer.command`, over TLS: shows that the server really speaks it. */
export function sendTls(server: RedisServer, ...args: readonly string[]): Promise<string> {
  const ca = server.caFile === undefined ? [] : [readFileSync(server.caFile)];
  return talk(connectTls({ host: "127.0.0.1", servername: "localhost", port: server.port, ca }), args);
}

function talk(socket: Socket, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    let received = Buffer.alloc(0);
    const fail = (error: Error): void => {
      socket.destroy();
      reject(error);
    };
    socket.setTimeout(COMMAND_MS, () => fail(new Error(`no reply to ${args[0]} in ${COMMAND_MS} ms`)));
    socket.once("error", fail);
    socket.once("close", () => reject(new Error("connection closed before the reply")));
    socket.on("data", (chunk) => {
      received = Buffer.concat([received, chunk]);
      const parsed = parse(received, 0);
      if (parsed === undefined) return;
      socket.destroy();
      if (parsed.error) reject(new Error(parsed.text));
      else resolve(parsed.text);
    });
    const parts = args.map((arg) => `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`);
    socket.write(`*${args.length}\r\n${parts.join("")}`);
  });
}

interface Reply {
  readonly text: string;
  readonly end: number;
  readonly error: boolean;
}

/** RESP2: the reply that starts at `at`, or undefined while it is not complete. */
function parse(data: Buffer, at: number): Reply | undefined {
  const line = data.indexOf("\r\n", at);
  if (line < 0) return undefined;
  const head = data.toString("utf8", at + 1, line);
  const kind = String.fromCharCode(data[at] ?? 0);
  const next = line + 2;
  if (kind === "+" || kind === ":" || kind === "-") return { text: head, end: next, error: kind === "-" };
  const size = Number(head);
  if (size < 0) return { text: "", end: next, error: false };
  if (kind === "$") {
    if (data.length < next + size + 2) return undefined;
    return { text: data.toString("utf8", next, next + size), end: next + size + 2, error: false };
  }
  const items: string[] = [];
  let end = next;
  for (let index = 0; index < size; index += 1) {
    const item = parse(data, end);
    if (item === undefined) return undefined;
    items.push(item.text);
    end = item.end;
  }
  return { text: items.join("\n"), end, error: false };
}
