// Completes package-lock.json: npm leaves out optional packages of other platforms that it could not look up when it
// wrote the file, and `npm ci` then refuses the file on every platform. Each of them is named exactly by the package that
// wants it; its platform is in its name. With --check it writes nothing and fails when something is missing.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const file = join(fileURLToPath(new URL("..", import.meta.url)), "package-lock.json");
const lock = JSON.parse(readFileSync(file, "utf8"));
const SYSTEMS = [
  "aix",
  "android",
  "darwin",
  "freebsd",
  "linux",
  "netbsd",
  "openbsd",
  "openharmony",
  "sunos",
  "win32",
];
const CPUS = ["arm64", "arm", "ia32", "loong64", "mips64el", "ppc64", "riscv64", "s390x", "x64"];

/** `@scope/binding-linux-arm64-musl` -> os linux, cpu arm64, libc musl. */
function platformOf(name) {
  const words = name.split("/").at(-1).split("-");
  const os = SYSTEMS.find((one) => words.includes(one));
  const cpu = CPUS.find((one) => words.includes(one));
  if (os === undefined || cpu === undefined) throw new Error(`no platform in the name ${name}`);
  const libc = words.some((word) => word.startsWith("musl")) ? ["musl"] : undefined;
  const gnu = os === "linux" && words.some((word) => word.startsWith("gnu")) ? ["glibc"] : undefined;
  return { os: [os], cpu: [cpu], libc: libc ?? gnu };
}

const missing = [];
for (const [parent, { optionalDependencies = {}, dev }] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(optionalDependencies)) {
    const path = `node_modules/${name}`;
    if (path in lock.packages || `${parent}/${path}` in lock.packages) continue;
    if (!/^\d+\.\d+\.\d+$/.test(version)) throw new Error(`${parent} wants ${name} ${version}: not exact`);
    missing.push(name);
    const { os, cpu, libc } = platformOf(name);
    lock.packages[path] = {
      version,
      cpu,
      ...(dev ? { dev } : {}),
      ...(libc ? { libc } : {}),
      optional: true,
      os,
    };
  }
}

if (missing.length === 0) {
  process.stdout.write("package-lock.json is complete\n");
} else if (process.argv.includes("--check")) {
  process.stderr.write(`package-lock.json lacks ${missing.join(", ")}: run node scripts/lockfile.mjs\n`);
  process.exitCode = 1;
} else {
  const sorted = Object.entries(lock.packages).toSorted(([a], [b]) => a.localeCompare(b, "en"));
  lock.packages = Object.fromEntries(sorted);
  writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
  process.stdout.write(`added ${missing.length} optional packages of other platforms\n`);
}
