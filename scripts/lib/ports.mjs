// Ports of the loopback interface.
import { createServer } from "node:net";

export const freePort = () => listenOn(0);

export function isFree(port) {
  return listenOn(port).then(
    () => true,
    () => false,
  );
}

/** For a moment. */
function listenOn(port) {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => {
      const { port: found } = server.address();
      server.close(() => resolve(found));
    });
  });
}
