import { spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { earlyFlags } from "../../../src/cli/early-compile.ts";

describe("compiling early", () => {
  test("where it was measured, unless Node was told when to compile", () => {
    expect(earlyFlags("11.3.244.8-node.33", ["--enable-source-maps", ""])).not.toEqual([]);
    for (const given of [
      "--interrupt-budget=1000",
      "--interrupt_budget=1000",
      "--jitless",
      "--no-opt",
      "--always-sparkplug",
    ]) {
      expect(earlyFlags("11.3.244.8-node.33", ["", given])).toEqual([]);
    }
    expect(earlyFlags("12.4.254.21-node.33", [])).toEqual([]);
  });

  test("this Node knows the flags", () => {
    const flags = earlyFlags(process.versions.v8, []);
    const { status, stderr } = spawnSync(process.execPath, [...flags, "-e", "0"], { encoding: "utf8" });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  });
});
