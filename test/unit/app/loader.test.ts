import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { Celery } from "../../../src/app/app.ts";
import { type AppInternals, appBrand, setInternals } from "../../../src/app/internals.ts";
import { loadModule, loadModules, loadObject, resolveApp } from "../../../src/app/loader.ts";
import { discoverTasks, findTaskModules } from "../../../src/app/loader-discovery.ts";
import { moduleFile } from "../../../src/app/loader-files.ts";
import { PetioleError } from "../../../src/errors.ts";
import { eventually } from "../../support/eventually.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";
import { NotingLogger } from "./support.ts";

let root = "";
beforeAll(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), "petiole-loader-")));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

let count = 0;
/** A folder of its own for one test, with these files. */
function project(files: Readonly<Record<string, string>>): string {
  count += 1;
  const folder = join(root, `project-${count}`);
  mkdirSync(folder);
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return folder;
}

async function errorOf(run: Promise<unknown>): Promise<PetioleError> {
  const error = await run.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(PetioleError);
  return error as PetioleError;
}

/** What the modules of a test export as apps. */
const shared = globalThis as { petioleTestApps?: Record<string, unknown> };
afterEach(() => delete shared.petioleTestApps);

/** An app of this copy, as far as the loader can tell. */
function fakeApp(): Celery {
  const app = { [appBrand]: true } as unknown as Celery;
  setInternals(app, {} as AppInternals);
  return app;
}

describe("module names", () => {
  test("are paths with or without extension, folders, Python's dots, URLs", async () => {
    const base = project({
      "plain.js": "",
      "typed.ts": "",
      "built.js": "",
      "folder/index.mjs": "",
      "proj/celery.ts": "",
      "proj/tasks.mts": "",
      "a.b.js": "",
    });
    const found = async (spec: string | URL): Promise<string> => relative(base, await moduleFile(spec, base));
    expect(await found("plain")).toBe("plain.js");
    expect(await found("./plain.js")).toBe("plain.js");
    expect(await found(join(base, "plain"))).toBe("plain.js");
    expect(await found("typed")).toBe("typed.ts");
    expect(await found("./typed.js")).toBe("typed.ts");
    expect(await found("folder")).toBe("folder/index.mjs");
    expect(await found("proj")).toBe("proj/celery.ts");
    expect(await found("proj.tasks")).toBe("proj/tasks.mts");
    expect(await found("proj/tasks")).toBe("proj/tasks.mts");
    expect(await found("a.b")).toBe("a.b.js");
    expect(await found(pathToFileURL(join(base, "plain.js")))).toBe("plain.js");
    expect(await found(pathToFileURL(join(base, "plain.js")).href)).toBe("plain.js");
  });

  test("are packages of the project, also those that can only be imported", async () => {
    const base = project({
      "node_modules/old/package.json": '{"main": "main.js"}',
      "node_modules/old/main.js": "",
      "node_modules/@x/esm/package.json":
        '{"type": "module", "exports": {".": {"import": {"types": "./t.d.ts", "default": "./a.js"}}, "./sub": {"import": "./b.js"}}}',
      "node_modules/only/package.json": '{"exports": {"import": "./a.js"}}',
      "src/deep/x.txt": "",
    });
    const found = async (spec: string): Promise<string> =>
      relative(base, await moduleFile(spec, join(base, "src/deep")));
    expect(await found("old")).toBe("node_modules/old/main.js");
    expect(await found("@x/esm")).toBe("node_modules/@x/esm/a.js");
    expect(await found("@x/esm/sub")).toBe("node_modules/@x/esm/b.js");
    expect(await found("only")).toBe("node_modules/only/a.js");
  });

  test("that are found nowhere are an error with the folder", async () => {
    const base = project({ "a.d.ts": "", "data.json": "{}" });
    for (const spec of ["nope", "./nope", "@x/none", "a", "node:fs", "fs", "no.pe", "only/sub"]) {
      const error = await errorOf(moduleFile(spec, base));
      expect(error.code).toBe("PET_MODULE_FAILED");
      expect(error.message).toContain(`module "${spec}" was not found in ${base}`);
    }
  });
});

describe("loading", () => {
  test("gives a module's exports", async () => {
    const base = project({ "m.mjs": "export const a = 1; export default 2;" });
    expect({ ...(await loadModule("m", base)) }).toEqual({ a: 1, default: 2 });
  });

  test("a module that throws is named, with the reason as cause", async () => {
    const base = project({ "bad.mjs": 'throw new RangeError("no such luck");' });
    const error = await errorOf(loadModule("bad", base));
    expect(error.code).toBe("PET_MODULE_FAILED");
    expect(error.message).toBe("module bad.mjs could not be loaded: RangeError: no such luck");
    expect(error.cause).toMatchObject({ message: "no such luck" });
  });

  test("several modules are loaded one after the other", async () => {
    const log = "(globalThis.petioleTestApps ??= { log: [] }).log.push";
    const base = project({
      "a.mjs": `await new Promise((done) => setTimeout(done, 5)); ${log}("a");`,
      "b.mjs": `${log}("b");`,
    });
    await loadModules(["a", "./b.mjs"], base);
    expect(shared.petioleTestApps).toEqual({ log: ["a", "b"] });
  });

  test("settings are an export, the default export, or the module", async () => {
    const base = project({
      "conf.mjs":
        'export const prod = { taskSerializer: "yaml" }; export const deep = { a: { b: {} } }; export const n = 1;',
      "main.mjs": 'export default { taskSerializer: "json" };',
      "flat.mjs": 'export const taskSerializer = "msgpack";',
    });
    expect(await loadObject("conf:prod", base)).toEqual({ taskSerializer: "yaml" });
    expect(await loadObject("conf.mjs:deep.a", base)).toEqual({ b: {} });
    expect(await loadObject("main", base)).toEqual({ taskSerializer: "json" });
    expect({ ...(await loadObject("./flat", base)) }).toEqual({ taskSerializer: "msgpack" });
    expect((await errorOf(loadObject("conf:prd", base))).message).toMatch(
      /no object prd, did you mean "prod"\?/,
    );
    expect((await errorOf(loadObject("conf:n", base))).message).toMatch(/no object n/);
  });
});

describe("the app of -A", () => {
  const exporting = (text: string): string =>
    project({ "m.mjs": text.replaceAll("APPS", "globalThis.petioleTestApps") });

  test("is the export named, else app, else the only one", async () => {
    const [one, two] = [fakeApp(), fakeApp()];
    shared.petioleTestApps = { one, two };
    const both = exporting(
      "export const app = APPS.one; export const other = APPS.two; export const nested = { deep: APPS.two };",
    );
    expect(await resolveApp("m", both)).toBe(one);
    expect(await resolveApp("m:other", both)).toBe(two);
    expect(await resolveApp("./m.mjs:nested.deep", both)).toBe(two);
    expect(await resolveApp("m", exporting("export const celery = APPS.one; export const helper = 1;"))).toBe(
      one,
    );
    expect(await resolveApp("m", exporting("export default APPS.one;"))).toBe(one);
    expect(await resolveApp("m", exporting("export default APPS.one; export const shop = APPS.one;"))).toBe(
      one,
    );
  });

  test("is asked for when there are several", async () => {
    shared.petioleTestApps = { one: fakeApp(), two: fakeApp() };
    const error = await errorOf(
      resolveApp("m", exporting("export const a = APPS.one; export const b = APPS.two;")),
    );
    expect(error.code).toBe("PET_APP_NOT_FOUND");
    expect(error.message).toBe(
      "m.mjs exports 2 Celery apps (a, b) and none is called app: say which, as in -A m:a",
    );
  });

  test("is missed with a list of what is there", async () => {
    const text =
      "export const helper = () => 0; export const n = null; export const date = new Date(); export const o = {};";
    const error = await errorOf(resolveApp("m", exporting(text)));
    expect(error.code).toBe("PET_APP_NOT_FOUND");
    expect(error.message).toMatch(
      /^m.mjs exports no Celery app \(date: a Date, helper: a function, n: null, o: an object\); export one: /,
    );
    expect((await errorOf(resolveApp("m", exporting("")))).message).toContain("no Celery app (nothing)");
  });

  test("is suggested when its name is misspelt, and refused when it is something else", async () => {
    shared.petioleTestApps = { one: fakeApp() };
    const base = exporting(
      "export const shop = APPS.one; export const other = 1; export const fake = { name: 'x' };",
    );
    expect((await errorOf(resolveApp("m:shopp", base))).message).toMatch(
      /no export shopp, did you mean "shop"\?/,
    );
    expect((await errorOf(resolveApp("m:other", base))).message).toBe(
      "other of m.mjs is a number, not a Celery app",
    );
    expect((await errorOf(resolveApp("m:fake", base))).message).toBe(
      "fake of m.mjs is an object, not a Celery app",
    );
    expect((await errorOf(resolveApp("m:toString", base))).code).toBe("PET_APP_NOT_FOUND");
    expect((await errorOf(resolveApp("none", base))).code).toBe("PET_MODULE_FAILED");
  });

  test("of another copy of petiole is told apart", async () => {
    shared.petioleTestApps = { one: { [appBrand]: true } };
    const error = await errorOf(resolveApp("m", exporting("export const app = APPS.one;")));
    expect(error.code).toBe("PET_APP_NOT_FOUND");
    expect(error.message).toMatch(/made by another copy of petiole .*npm ls petiole/);
  });
});

describe("task modules", () => {
  const find = async (
    base: string,
    folders: Parameters<typeof findTaskModules>[0],
    related?: string,
  ): Promise<readonly string[]> =>
    (await findTaskModules(folders, { base, related })).map((file) => relative(base, file));

  test("are files called tasks, *.tasks.*, and everything in folders called tasks, sorted", async () => {
    const base = project({
      "src/tasks.ts": "",
      "src/shop/tasks.mjs": "",
      "src/shop/mail.tasks.js": "",
      "src/shop/tasks/index.ts": "",
      "src/shop/tasks/deep/more.mts": "",
      "src/shop/tasks.json": "",
      "src/shop/mytasks.ts": "",
      "src/shop/tasks.d.ts": "",
      "src/shop/tasks.test.ts": "",
      "src/shop/tasks/index.spec.ts": "",
      "src/shop/tasks/types.d.mts": "",
      "src/shop/tasks/readme.md": "",
      "src/node_modules/x/tasks.js": "",
      "src/.cache/tasks.js": "",
      "src/test/tasks.ts": "",
      "src/__tests__/tasks.ts": "",
      "other/tasks.ts": "",
    });
    const expected = [
      "src/shop/mail.tasks.js",
      "src/shop/tasks.mjs",
      "src/shop/tasks/deep/more.mts",
      "src/shop/tasks/index.ts",
      "src/tasks.ts",
    ];
    expect(await find(base, "src")).toEqual(expected);
    expect(await find(base, join(base, "src"))).toEqual(expected);
    expect(await find(base, pathToFileURL(join(base, "src/")))).toEqual(expected);
    expect(await find(base, pathToFileURL(join(base, "src")).href)).toEqual(expected);
    expect(await find(base, ["other", "src/shop/tasks", "src/shop"])).toEqual([
      "other/tasks.ts",
      ...expected.filter((file) => file !== "src/tasks.ts"),
    ]);
  });

  test("are taken once: of a source and what was made from it beside it, the JavaScript", async () => {
    const base = project({
      "tasks.ts": "",
      "tasks.js": "",
      "a/tasks.mts": "",
      "a/tasks.mjs": "",
      "b/tasks.ts": "",
    });
    expect(await find(base, ".")).toEqual(["a/tasks.mjs", "b/tasks.ts", "tasks.js"]);
  });

  test("may have another name", async () => {
    const base = project({ "jobs.ts": "", "tasks.ts": "", "x.jobs.ts": "", "jobs/a.ts": "" });
    expect(await find(base, ".", "jobs")).toEqual(["jobs.ts", "jobs/a.ts", "x.jobs.ts"]);
  });

  test("may be one file, and folders that do not exist are a mistake", async () => {
    const base = project({ "odd-name.ts": "" });
    expect(await find(base, "odd-name.ts")).toEqual(["odd-name.ts"]);
    expect((await errorOf(find(base, "nope"))).message).toBe(
      `autodiscoverTasks: ${join(base, "nope")} does not exist`,
    );
  });

  test("one that does not end loading is named, with what the reason may be", async () => {
    const base = project({ "tasks.mjs": "await globalThis.petioleGate;" });
    let open = (): void => {};
    (globalThis as { petioleGate?: Promise<void> }).petioleGate = new Promise((resolve) => {
      open = resolve;
    });
    const clock = new VirtualClock();
    const logger = new NotingLogger();
    const loaded = discoverTasks(".", { base, related: undefined, clock, logger });
    await eventually("it is loading", () => clock.timers === 1);
    clock.advance(9_999);
    expect(logger.lines).toEqual([]);
    clock.advance(1);
    expect(logger.lines).toMatchObject([
      {
        level: "warn",
        fields: { module: "tasks.mjs" },
        message: expect.stringMatching(
          /^tasks\.mjs has been loading for 10 s\. Perhaps it imports a module that waits.*sharedTask/,
        ),
      },
    ]);
    open();
    await loaded;
  });

  test("are not looked for behind links to folders, which may go in circles", async () => {
    const base = project({ "real/tasks.ts": "", "real/inner/x.ts": "" });
    symlinkSync(join(base, "real"), join(base, "real/inner/loop"));
    symlinkSync(join(base, "real/tasks.ts"), join(base, "real/inner/tasks.ts"));
    expect(await find(base, "real")).toEqual(["real/inner/tasks.ts", "real/tasks.ts"]);
  });
});
