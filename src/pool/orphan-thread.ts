/**
 * A thread of a pool's child: ends the process when the parent is gone, even if a task holds up the event loop. The system
 * closes the pipe however the parent died.
 */
import { Socket } from "node:net";
import { workerData } from "node:worker_threads";

const socket = new Socket({ fd: workerData as number, readable: true, writable: false });
socket.on("error", () => {});
socket.on("close", () => process.kill(process.pid, "SIGKILL"));
socket.resume();
