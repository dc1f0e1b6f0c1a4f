import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { root } from "../../support/built.ts";

const run = promisify(execFile);

/** Plain Node, the built loader, and a project on disk: what tests inside vitest cannot see, as it loads modules itself. */
let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "petiole-loading-"));
  // Away from the repository, so that no package of it is found.
  cpSync(join(root, "dist"), join(folder, "dist"), { recursive: true });
  write("package.json", '{"type": "module"}');
  write("app.js", 'export const app = { from: "js" };');
  write(
    "app-ts.ts",
    'import { helper } from "./helper.js";\nenum Kind { One = 1 }\nexport const app = { from: helper("ts"), kind: Kind.One };',
  );
  write("helper.ts", "export const helper = (text: string): string => text.toUpperCase();");
  write("commonjs/package.json", "{}");
  write("commonjs/app.ts", 'export const app: { from: string } = { from: "cjs" };');
  write(
    "shop.ts",
    `import { appBrand, setInternals } from "./dist/app/internals.js";
    export const shop: { name: string } = { name: "shop", [appBrand]: true } as never;
    setInternals(shop as never, {} as never);`,
  );
  write("erasable.ts", "export const from: string = 'erasable';");
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function write(name: string, text: string): void {
  mkdirSync(dirname(join(folder, name)), { recursive: true });
  writeFileSync(join(folder, name), text);
}

/** The value of an expression in which `loader` is the loader, in a Node process of its own. */
async function evaluate(expression: string, loader = join(folder, "dist/app/loader.js")): Promise<unknown> {
  const script = `
    const loader = await import(${JSON.stringify(pathToFileURL(loader).href)});
    const base = ${JSON.stringify(folder)};
    const value = await (async () => ${expression})().catch((error) => ({ code: error.code, message: error.message }));
    process.stdout.write(JSON.stringify(value));`;
  const env = { ...process.env, NODE_OPTIONS: "" };
  const { stdout } = await run(process.execPath, ["--input-type=module", "-e", script], { cwd: folder, env });
  return JSON.parse(stdout) as unknown;
}

const native = Boolean((process.features as { readonly typescript?: unknown }).typescript);

describe("modules in plain Node", () => {
  test("JavaScript needs nothing", async () => {
    expect(await evaluate('(await loader.loadModule("app", base)).app')).toEqual({ from: "js" });
  });

  test.skipIf(native)("TypeScript without tsx is an error with the command that mends it", async () => {
    expect(await evaluate('loader.loadModule("app-ts", base)')).toEqual({
      code: "PET_PEER_MISSING",
      message: expect.stringMatching(
        /app-ts\.ts is TypeScript.*npm install -D tsx, or use Node 22\.18 or later/,
      ),
    });
  });

  test.runIf(native)(
    "TypeScript that only has types needs nothing (a Node that strips types: 22.18 and newer)",
    async () => {
      expect(await evaluate('(await loader.loadModule("erasable", base)).from')).toBe("erasable");
    },
  );

  test("TypeScript with the project's tsx is loaded, ESM and CommonJS, and imports what it imports once", async () => {
    mkdirSync(join(folder, "node_modules"), { recursive: true });
    symlinkSync(join(root, "node_modules/tsx"), join(folder, "node_modules/tsx"));
    expect(
      await evaluate(
        `{
        const first = await loader.loadModule("helper", base);
        const again = await loader.loadModule("./helper.ts", base);
        const typed = ${native} ? { app: { from: "TS", kind: 1 } } : await loader.loadModule("app-ts", base);
        const common = await loader.loadModule("commonjs/app", base);
        const shop = await loader.resolveApp("shop", base);
        return { shop: shop.name, same: first.helper === again.helper, typed: typed.app, common: common.app };
      }`.replace(/^\{/, "(async () => {") + ")()",
      ),
    ).toEqual({ shop: "shop", same: true, typed: { from: "TS", kind: 1 }, common: { from: "cjs" } });
  });
});

describe("a top-level await that never ends", () => {
  const APP = `import { Celery } from "../dist/index.js";
    export const app = new Celery("stalled");
    await app.autodiscoverTasks(new URL("tasks/", import.meta.url));`;
  const REMEDY =
    'it imports a module that waits for it by "await app.autodiscoverTasks(…)" at its top level. Define its tasks with sharedTask(…) of petiole, without importing the app, or leave autodiscoverTasks out and name it in the setting include';

  test("of a task module that imports the app which discovers it is named, with the remedy", async () => {
    write("stalled/app.js", APP);
    write("stalled/tasks/mail.js", 'import { app } from "../app.js"; app.task("mail", () => 1);');
    expect(await evaluate('loader.resolveApp("stalled/app", base)')).toEqual({
      code: "PET_MODULE_FAILED",
      message: `module stalled/tasks/mail.js never ends loading: ${REMEDY.replace("a module that waits", "stalled/app.js, which waits")}`,
    });
    // As a web server imports it.
    expect(await evaluate('import(new URL("stalled/app.js", `file://${base}/`))')).toEqual({
      code: "PET_MODULE_FAILED",
      message: `module stalled/tasks/mail.js never ends loading: ${REMEDY}`,
    });
    write(
      "stalled/tasks/mail.js",
      'import { sharedTask } from "../../dist/index.js"; sharedTask("mail", () => 1);',
    );
    expect(await evaluate('(await loader.resolveApp("stalled/app", base)).tasks.has("mail")')).toBe(true);
  });

  test("of any other module is named", async () => {
    write("endless.js", "await new Promise(() => {});");
    expect(await evaluate('loader.loadModule("endless", base)')).toEqual({
      code: "PET_MODULE_FAILED",
      message:
        "module endless.js never ends loading: it, or a module that it imports, has a top-level await for what will not happen",
    });
  });
});
