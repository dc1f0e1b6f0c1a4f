/** A child's way to its parent: the channel of `fork`, or the port of a thread. */
import type { MessagePort } from "node:worker_threads";
import type { Channel } from "./child-loop.ts";

export function processChannel(): Channel {
  return {
    send: (text) => {
      if (process.connected) process.send?.(text, undefined, undefined, () => {});
    },
    onMessage: (listener) => {
      process.on("message", listener);
    },
  };
}

export function threadChannel(port: MessagePort): Channel {
  return {
    send: (text) => port.postMessage(text, []),
    onMessage: (listener) => {
      port.on("message", listener);
    },
  };
}
