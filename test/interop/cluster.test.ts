/** The short form of `make cluster`: TypeScript and Python workers in one cluster, steered by clients of both languages. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, test } from "vitest";
import { root } from "../support/built.ts";
import { trackProcess } from "../support/left-overs.ts";
import { python } from "../support/python.ts";

test("results, replies and elections are right both ways, and no log complains", async () => {
  const file = `${root}bench/cluster/run.mjs`;
  const words = [file, "--seconds", "5", "--python", python()];
  const child = spawn(process.execPath, words, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
  trackProcess(child, file);
  const said = { out: "", err: "" };
  child.stdout.on("data", (chunk: Buffer) => (said.out += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (said.err += chunk.toString()));
  const timer = setTimeout(() => child.kill("SIGTERM"), 80_000);
  await once(child, "close");
  clearTimeout(timer);
  if (!said.out.startsWith("{")) throw new Error(`it ended with ${child.exitCode}: ${said.err}`);
  const report = JSON.parse(said.out) as Readonly<Record<string, unknown>>;
  expect(report).toMatchObject({ ok: true, failures: [] });
  expect(child.exitCode).toBe(0);
  expect(report["visits"]).toBeGreaterThan(0);
}, 90_000);
