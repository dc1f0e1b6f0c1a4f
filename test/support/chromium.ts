/** Debian's Chromium, without a window. */
import { spawnSync } from "node:child_process";
import { type Browser, chromium } from "playwright-core";

const PROGRAM = process.env["CHROMIUM"] ?? "chromium";

function path(): string | undefined {
  const found = spawnSync("which", [PROGRAM], { encoding: "utf8" }).stdout?.trim();
  return found === "" ? undefined : found;
}

/** Whether there is none: then tests of pages are skipped. `scripts/ensure-servers.mjs` installs it where it may. */
export const withoutChromium: boolean = path() === undefined;

export function startBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: path() ?? PROGRAM,
    // Root has no sandbox of its own.
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
  });
}
