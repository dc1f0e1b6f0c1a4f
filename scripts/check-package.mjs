// Packs the package as it would be published and lets publint and attw look at the tarball: do all exports exist, with
// types that fit, in every way that a user's tools resolve them? Needs the build.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const dir = mkdtempSync(join(tmpdir(), "petiole-pack-"));

function run(program, args) {
  const result = spawnSync(program, args, { cwd: root, encoding: "utf8" });
  if (result.status !== 0) {
    process.stdout.write(
      `${program.split("/").at(-1)} ${args.join(" ")}\n${result.stdout}${result.stderr}\n`,
    );
    process.exitCode = 1;
  }
  return result.stdout;
}

try {
  const [packed] = JSON.parse(run("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", dir]));
  const tarball = join(dir, packed.filename);
  const bin = (name) => join(root, "node_modules/.bin", name);
  run(bin("publint"), ["run", tarball, "--strict"]);
  run(bin("attw"), [tarball, "--profile", "esm-only", "--no-color", "--no-emoji"]);
  process.stdout.write(`${packed.entryCount} files, ${Math.round(packed.unpackedSize / 1024)} kB unpacked\n`);
} finally {
  rmSync(dir, { recursive: true, force: true });
}
