/** What the figures were made on. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import os from "node:os";

const text = (command, args) => {
  try {
    return execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  } catch {
    return null;
  }
};
const versionOf = (name) => {
  const url = new URL(`../../node_modules/${name}/package.json`, import.meta.url);
  return JSON.parse(readFileSync(url, "utf8")).version;
};

export function machine({ python, redisVersion }) {
  const packages = python
    ? text(python, [
        "-c",
        "import platform, celery, kombu, redis; print(platform.python_version(), celery.__version__, kombu.__version__, redis.__version__)",
      ])
    : null;
  const [pythonVersion, celery, kombu, redisPy] = packages?.split(" ") ?? [];
  return {
    cpu: os.cpus()[0]?.model.trim() ?? "unknown",
    cores: os.cpus().length,
    memoryGiB: Math.round(os.totalmem() / 2 ** 30),
    os: `${os.type()} ${os.release()} ${os.arch()}`,
    loadBefore: Number(os.loadavg()[0].toFixed(2)),
    node: process.versions.node,
    redis: redisVersion,
    petiole: JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")).version,
    commit: text("git", ["rev-parse", "--short", "HEAD"]),
    ioredis: versionOf("ioredis"),
    bullmq: versionOf("bullmq"),
    python: pythonVersion ?? null,
    celery: celery ?? null,
    kombu: kombu ?? null,
    redisPy: redisPy ?? null,
  };
}
