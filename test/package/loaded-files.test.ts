/** What an import costs: the files that Node loads. A web process that only sends pays for nothing else. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import { built, root } from "../support/built.ts";
import { loadedModules } from "../support/loaded-modules.ts";

interface Loads {
  /** Modules of ours. */
  readonly own: readonly string[];
  /** The files that hold them. */
  readonly files: readonly string[];
  readonly packages: readonly string[];
}

function loaded(statements = ""): Loads {
  const script = join(root, "test/package/loaded-files.mjs");
  const entry = pathToFileURL(built("index.js")).href;
  const printed = execFileSync(process.execPath, [script, entry, statements], {
    cwd: root,
    encoding: "utf8",
  });
  const urls = JSON.parse(printed) as readonly string[];
  const packages = urls.flatMap((url) => /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//u.exec(url)?.[1] ?? []);
  const { files, modules } = loadedModules(urls);
  return { own: modules, files, packages: [...new Set(packages)] };
}

const matching = (files: readonly string[], pattern: RegExp): readonly string[] =>
  files.filter((file) => pattern.test(file));

/** Never loaded by a client, whatever it does. */
const SERVERS = /^(worker|pool|cli|beat|outbox|dashboard|integrations|testing|sql|sqlite)\//u;
/** Loaded by the first use that needs them. */
const LAZY = /^(redis|codecs)\/|^(transports|backends)\/(redis|memory)\/|^app\/(loader|eager|validate)/u;

/** But for the table of kombu's options, which the memory transport takes too. */
const REDIS = /^redis\/(?!url)|^(transports|backends)\/redis\/(?!options)/u;

test("importing petiole loads no worker, no broker client, no codec and no package", () => {
  const { own, files, packages } = loaded();
  expect(own).toContain("app/app.js");
  expect(matching(own, SERVERS)).toEqual([]);
  expect(matching(own, LAZY)).toEqual([]);
  expect(packages).toEqual([]);
  process.stderr.write(`import "petiole": ${own.length} modules in ${files.length} files\n`);
  expect(own.length).toBeLessThanOrEqual(133);
  expect(files.length).toBeLessThanOrEqual(5);
});

test("an app, its tasks and signatures load nothing more", () => {
  const before = loaded().own;
  const { own } = loaded(`
    const app = new petiole.Celery("t", { brokerUrl: "redis://localhost:6379/0", resultBackend: "redis://localhost:6379/1" });
    const add = app.task("add", (x, y) => x + y);
    add.s(1).set({ queue: "q" }).toJSON();
    app.asyncResult("x");
  `);
  expect(own.filter((file) => !before.includes(file))).toEqual([]);
});

test("a send loads the transport of its URL and no other", () => {
  const { own, packages } = loaded(`
    const app = new petiole.Celery("t", { brokerUrl: "memory://" });
    await app.sendTask("add", [1, 2]);
    await app.close();
  `);
  expect(own).toContain("transports/memory/index.js");
  expect(matching(own, REDIS)).toEqual([]);
  // But for the names of SQL's schemes, by which an app knows its own.
  expect(matching(own, /^(backends\/(?!sql-schemes)|codecs)\//u)).toEqual([]);
  expect(matching(own, SERVERS)).toEqual([]);
  expect(packages).toEqual([]);
});

test("a send over Redis loads no package, and still no worker", () => {
  const { own, packages } = loaded(`
    const app = new petiole.Celery("t", {
      brokerUrl: "redis://127.0.0.1:1/0",
      taskPublishRetryPolicy: { maxRetries: 0, timeout: 5 },
    });
    await app.sendTask("add", [1, 2]).catch(() => {});
    await app.close();
  `);
  expect(own).toContain("redis/connection.js");
  expect(packages).toEqual([]);
  expect(matching(own, SERVERS)).toEqual([]);
});

test("a result loads the backend of its URL and no transport of another", () => {
  const { own } = loaded(`
    const app = new petiole.Celery("t", { resultBackend: "cache+memory://" });
    await app.asyncResult("x").state();
    await app.close();
  `);
  expect(own).toContain("backends/memory/index.js");
  expect(matching(own, REDIS)).toEqual([]);
  expect(matching(own, /^codecs\//u)).toEqual([]);
});
