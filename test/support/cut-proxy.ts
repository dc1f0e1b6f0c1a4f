/** A TCP proxy of the loopback interface whose connections a test cuts: what was sent is not answered, and nothing new is let in. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export interface CutProxy {
  readonly port: number;
  cut(): void;
  mend(): void;
  close(): Promise<void>;
}

export async function startCutProxy(target: number): Promise<CutProxy> {
  const sockets = new Set<Socket>();
  let isCut = false;
  const server = createServer((client) => {
    const upstream = connect(target, "127.0.0.1");
    for (const one of [client, upstream]) {
      sockets.add(one);
      one.on("error", () => {});
      one.on("close", () => {
        sockets.delete(one);
        client.destroy();
        upstream.destroy();
      });
    }
    client.on("data", (data) => isCut || upstream.write(data));
    upstream.on("data", (data) => isCut || client.write(data));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    cut: () => {
      isCut = true;
    },
    mend: () => {
      isCut = false;
      // Their streams have holes.
      for (const one of sockets) one.destroy();
    },
    close: async () => {
      for (const one of sockets) one.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
