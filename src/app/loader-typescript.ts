/** TypeScript modules: by Node itself where it strips types, else through tsx, loaded when the first one is met. */
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { PetioleError } from "../errors.ts";

/** `tsx/esm/api` and `tsx/cjs/api`. */
interface TsxApi {
  register(): unknown;
}

/** Set once tsx was registered for this process. */
let registered: Promise<void> | null = null;

/** Whether Node imports TypeScript itself (22.18, 23.6 and later). */
function nativeTypeScript(): boolean {
  return Boolean((process.features as { readonly typescript?: unknown }).typescript);
}

/**
 * Makes `import` of this file work.
 *
 * @param base - the folder whose project has tsx installed
 * @throws PetioleError `PET_PEER_MISSING`
 */
export async function prepareTypeScript(file: string, base: string): Promise<void> {
  if (!/\.[cm]?ts$/.test(file) || nativeTypeScript() || startedWithTsx()) return;
  registered ??= register(base);
  try {
    await registered;
  } catch (error) {
    registered = null;
    throw new PetioleError(
      "PET_PEER_MISSING",
      `${file} is TypeScript, which this Node (${process.version}) cannot load by itself: npm install -D tsx, or use Node 22.18 or later`,
      { cause: error },
    );
  }
}

/** `node --import tsx` or the `tsx` command. */
function startedWithTsx(): boolean {
  return [...process.execArgv, process.env["NODE_OPTIONS"] ?? ""].some((one) =>
    /(^|[\s/=\\])tsx([\s/\\]|$)/.test(one),
  );
}

async function register(base: string): Promise<void> {
  // Modules of packages without "type": "module" are CommonJS and need the other half.
  for (const part of ["tsx/cjs/api", "tsx/esm/api"]) (await importTsx(part, base)).register();
}

/** The project's own tsx, else the one beside this package. */
async function importTsx(part: string, base: string): Promise<TsxApi> {
  try {
    const file = createRequire(join(base, "noop.js")).resolve(part);
    return (await import(pathToFileURL(file.replace(/\.cjs$/, ".mjs")).href)) as TsxApi;
  } catch {
    return (await import(part)) as TsxApi;
  }
}
