/** An empty folder of a user, with the packed package installed in it. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "../support/built.ts";

export interface UserFolder {
  readonly dir: string;
  /** Runs a program there; its output. */
  run(program: string, ...args: string[]): string;
  remove(): void;
}

/** `packages`: what the user installs beside Petiole, as `name@version`. */
export function installPacked(packages: readonly string[] = []): UserFolder {
  const dir = mkdtempSync(join(tmpdir(), "petiole-user-"));
  const run = (program: string, ...args: string[]): string =>
    execFileSync(program, args, { cwd: dir, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  const packed = execFileSync("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", dir], {
    cwd: root,
    encoding: "utf8",
  });
  const [{ filename }] = JSON.parse(packed) as [{ filename: string }];
  writeFileSync(join(dir, "package.json"), JSON.stringify({ name: "user", private: true, type: "module" }));
  const flags = ["--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline"];
  run("npm", "install", ...flags, `./${filename}`, ...packages);
  return { dir, run, remove: () => rmSync(dir, { recursive: true, force: true }) };
}
