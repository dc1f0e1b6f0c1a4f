/** The socket below a connection: TCP, TLS or a unix socket. */
import { connect, type NetConnectOpts, type Socket } from "node:net";
import type { ConnectionOptions, connect as connectTls } from "node:tls";
import type { RedisAddress } from "./url.ts";

/** What one read of a plain socket brings at most. */
const READ_BYTES = 64 * 1024;
const KEEP_ALIVE_MS = 30_000;

/** The address's part that names the server. */
export type SocketAddress = Pick<RedisAddress, "host" | "port" | "path" | "tls">;

/**
 * Starts to connect. `onReady` is called when bytes can be sent; `onData` with bytes that are only valid during the call.
 * Errors and the end are the socket's own events.
 */
export function openSocket(
  address: SocketAddress,
  hooks: { readonly onReady: () => void; readonly onData: (chunk: Buffer) => void },
): Socket {
  const where = address.path === null ? { host: address.host, port: address.port } : { path: address.path };
  if (address.tls !== null) {
    const socket = tls().connect({ ...where, ...address.tls } as ConnectionOptions);
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    return socket.on("secureConnect", hooks.onReady).on("data", hooks.onData);
  }
  const socket = connect({
    ...where,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: KEEP_ALIVE_MS,
    onread: {
      buffer: Buffer.allocUnsafeSlow(READ_BYTES),
      callback: (length: number, buffer: Uint8Array): boolean => {
        hooks.onData((buffer as Buffer).subarray(0, length));
        return true;
      },
    },
  } as NetConnectOpts);
  return socket.on("connect", hooks.onReady);
}

/** Loaded with the first TLS connection: others need not pay for it at their start. */
function tls(): { readonly connect: typeof connectTls } {
  return process.getBuiltinModule("node:tls");
}
