/**
 * Finding and importing the user's modules: the app of `-A`, task modules, settings modules. Python: `celery/loaders/base.py`,
 * `find_app` of `celery/app/utils.py`.
 */
import { relative } from "node:path";
import { pathToFileURL } from "node:url";
import { didYouMean } from "../base/nearest.ts";
import { ImproperlyConfigured, PetioleError } from "../errors.ts";
import type { Celery } from "./app.ts";
import { appBrand, internalsOf } from "./internals.ts";
import { moduleFile } from "./loader-files.ts";
import { ModuleStalled, unlessStalled } from "./loader-stalls.ts";
import { prepareTypeScript } from "./loader-typescript.ts";
import { isRecord } from "./settings/values.ts";

export type ModuleExports = Readonly<Record<string, unknown>>;

/**
 * Imports a module: a path (with or without extension, a folder, Python's dots), a file URL, or a package.
 *
 * @param base - the folder that relative paths and packages are looked up from
 * @throws PetioleError `PET_MODULE_FAILED`, `PET_PEER_MISSING`
 */
export async function loadModule(spec: string | URL, base: string): Promise<ModuleExports> {
  return (await importFile(await moduleFile(spec, base), base)).exports;
}

/** @param discovered - by `autodiscoverTasks` */
export async function importFile(
  file: string,
  base: string,
  discovered = false,
): Promise<{ file: string; exports: ModuleExports }> {
  await prepareTypeScript(file, base);
  try {
    const load = import(pathToFileURL(file).href) as Promise<ModuleExports>;
    const exports = await unlessStalled({ name: shown(file, base), discovered }, load);
    return { file, exports: named(exports) };
  } catch (error) {
    if (error instanceof ModuleStalled) throw error;
    const reason = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    const unsupported = (error as { code?: unknown } | null)?.code === "ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX";
    const hint = unsupported ? " (start Node with --import tsx for TypeScript that is more than types)" : "";
    throw new PetioleError(
      "PET_MODULE_FAILED",
      `module ${shown(file, base)} could not be loaded: ${reason}${hint}`,
      { cause: error },
    );
  }
}

/** A CommonJS module that was made from TypeScript shows its exports as properties of `default` only. */
function named(exports: ModuleExports): ModuleExports {
  const main: unknown = exports["default"];
  const bare = Object.keys(exports).every((name) => name === "default" || name === "module.exports");
  return bare && isRecord(main) && !isApp(main) ? { ...main, default: main } : exports;
}

/** Imports modules one after the other: `imports`, `include`. */
export async function loadModules(specs: readonly string[], base: string = process.cwd()): Promise<void> {
  for (const spec of specs) await loadModule(spec, base);
}

/** A settings object: of `"module:export"`, of a module's default export, or the module itself. For `configFromObject`. */
export async function loadObject(spec: string, base: string = process.cwd()): Promise<object> {
  const { module, path } = splitSpec(spec);
  const exports = await loadModule(module, base);
  if (path !== null) {
    const found = lookUp(exports, path);
    if (typeof found === "object" && found !== null) return found;
    throw new ImproperlyConfigured(
      `${JSON.stringify(spec)}: the module has no object ${path}${didYouMean(path, Object.keys(exports))} (${listed(exports)})`,
    );
  }
  const main: unknown = exports["default"];
  return typeof main === "object" && main !== null ? main : exports;
}

/**
 * The file of `-A module[:export]`.
 *
 * @throws PetioleError `PET_MODULE_FAILED`
 */
export function appFile(spec: string, cwd: string): Promise<string> {
  return moduleFile(splitSpec(spec).module, cwd);
}

/**
 * The app that `-A module[:export]` means: the export named, else `app`, else the only app that the module exports.
 *
 * @throws PetioleError `PET_APP_NOT_FOUND`
 */
export async function resolveApp(spec: string, cwd: string): Promise<Celery> {
  const { module, path } = splitSpec(spec);
  const { file, exports } = await importFile(await moduleFile(module, cwd), cwd);
  const where = shown(file, cwd);
  if (path !== null) {
    const found = lookUp(exports, path);
    if (isApp(found)) return ours(found, where);
    throw noApp(
      found === undefined
        ? `${where} has no export ${path}${didYouMean(path, Object.keys(exports))}; it exports ${listed(exports)}`
        : `${path} of ${where} is ${described(found)}, not a Celery app`,
    );
  }
  if (isApp(exports["app"])) return ours(exports["app"], where);
  const apps = [...new Set(Object.values(exports).filter((one) => isApp(one)))];
  const [only] = apps;
  if (only !== undefined && apps.length === 1) return ours(only, where);
  if (apps.length === 0) {
    throw noApp(
      `${where} exports no Celery app (${listed(exports)}); export one: export const app = new Celery(…)`,
    );
  }
  const names = Object.keys(exports)
    .filter((name) => isApp(exports[name]))
    .sort();
  throw noApp(
    `${where} exports ${apps.length} Celery apps (${names.join(", ")}) and none is called app: say which, as in -A ${module}:${names[0] ?? "app"}`,
  );
}

function noApp(message: string): PetioleError {
  return new PetioleError("PET_APP_NOT_FOUND", message);
}

/** An app, of this copy of Petiole or of another one. */
function isApp(value: unknown): value is Celery {
  return typeof value === "object" && value !== null && appBrand in value;
}

function ours(app: Celery, where: string): Celery {
  try {
    internalsOf(app);
    return app;
  } catch {
    throw noApp(
      `the app of ${where} was made by another copy of petiole than the one that runs: install it once (npm ls petiole), and start the petiole of that project (npx petiole)`,
    );
  }
}

/** `module:export`. What follows a drive letter or a URL's scheme is no name of an export. */
function splitSpec(spec: string): { readonly module: string; readonly path: string | null } {
  const match = /^(.+):([A-Za-z_$][\w$.]*)$/.exec(spec);
  if (!match?.[1] || !match[2]) return { module: spec, path: null };
  return { module: match[1], path: match[2] };
}

function lookUp(exports: ModuleExports, path: string): unknown {
  let value: unknown = exports;
  for (const key of path.split(".")) {
    if (typeof value !== "object" || value === null || !(key in value)) return undefined;
    value = (value as ModuleExports)[key];
  }
  return value;
}

function listed(exports: ModuleExports): string {
  const names = Object.keys(exports).sort();
  return names.length === 0
    ? "nothing"
    : names.map((name) => `${name}: ${described(exports[name])}`).join(", ");
}

function described(value: unknown): string {
  if (value === null) return "null";
  if (isApp(value)) return "a Celery app";
  if (typeof value !== "object") return `a ${typeof value}`;
  const maker: unknown = (value as { constructor?: { name?: unknown } }).constructor?.name;
  return typeof maker === "string" && maker !== "" && maker !== "Object" ? `a ${maker}` : "an object";
}

/** For people. */
export function shown(file: string, base: string): string {
  const short = relative(base, file);
  return short === "" || short.startsWith("..") ? file : short;
}
