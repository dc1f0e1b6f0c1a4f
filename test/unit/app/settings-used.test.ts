import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { SETTINGS } from "../../../src/app/settings.ts";

const src = fileURLToPath(new URL("../../../src/", import.meta.url));

/** The sources without comments, and without the files that know every setting by nature. */
const code = readdirSync(src, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts") && !/^app[\\/](settings|config-(source|value)|env)/.test(file))
  .map((file) => readFileSync(join(src, file), "utf8").replace(/\/\*[^]*?\*\/|\/\/.*$/gm, ""))
  .join("\n");
const words: ReadonlySet<string> = new Set(code.match(/\w+/g));

describe("what docs/configuration.md says is used", () => {
  test("a setting that is marked as effective is read somewhere", () => {
    const unread = SETTINGS.filter((setting) => setting.effective && !words.has(setting.name));
    expect(unread.map(({ name }) => name)).toEqual([]);
  });

  test("what a worker or a task does without is explained, or belongs to what is still to come", () => {
    const LATER = /^(beat|redbeat|security|database|cache|redis|result|override|event|broker)|Chord|StateDb/;
    const silent = SETTINGS.filter(
      ({ effective, why, name }) => !effective && why === undefined && !LATER.test(name),
    );
    expect(silent.map(({ name }) => name)).toEqual([]);
    expect(SETTINGS.filter(({ effective, why }) => effective && why !== undefined)).toEqual([]);
  });

  test("a setting that is read is marked as effective in src/app/settings/", () => {
    const unmarked = SETTINGS.filter((setting) => !setting.effective && words.has(setting.name));
    expect(unmarked.map(({ name }) => name)).toEqual([]);
  });
});
