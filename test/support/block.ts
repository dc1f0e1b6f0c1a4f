/** Holds up this thread's event loop, as a synchronous task does, and leaves the processor to others meanwhile. */
export function block(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
