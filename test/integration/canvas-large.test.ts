/** A chord of thousands leaves everybody his turn. `make canvas-bench` measures it; here are loose bounds. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { root } from "../support/built.ts";

interface Figure {
  readonly median: number;
  readonly worst: number;
}

test("a chord of 5,000 blocks neither its client's event loop nor the worker's", {
  timeout: 120_000,
}, async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [
    `${root}bench/canvas/run.mjs`,
    "--sizes",
    "500,5000",
    "--rounds",
    "1",
  ]);
  const report = JSON.parse(stdout) as Readonly<
    Record<string, { readonly clientBlockedCpuMs: Figure; readonly workerBlockedCpuMs: Figure }>
  >;
  const large = report["client 5000"];
  // In CPU time, which a busy machine does not lengthen. All of it in one stretch took 200 ms.
  expect(large?.clientBlockedCpuMs.worst).toBeGreaterThan(0);
  expect(large?.clientBlockedCpuMs.worst).toBeLessThan(60);
  expect(large?.workerBlockedCpuMs.worst).toBeGreaterThan(0);
  expect(large?.workerBlockedCpuMs.worst).toBeLessThan(60);
});
