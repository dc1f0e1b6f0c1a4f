/** From a module's name to its file. */
import { readFile, stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { PetioleError } from "../errors.ts";

const EXTENSIONS = [".ts", ".js", ".mts", ".mjs", ".cts", ".cjs"] as const;
/** What a folder's module may be called, in this order. `celery` is the habit of Python projects. */
const FOLDER_MODULES = ["index", "app", "celery"] as const;

/** A JavaScript or TypeScript module; declarations are none. */
export function isModuleFile(file: string): boolean {
  return /\.[cm]?[jt]s$/.test(file) && !/\.d\.[cm]?ts$/.test(file);
}

/**
 * The file of a module. Tried in turn: the path itself, with an extension, as a folder, Python's dots as slashes, a package.
 *
 * @throws PetioleError `PET_MODULE_FAILED`
 */
export async function moduleFile(spec: string | URL, base: string): Promise<string> {
  if (spec instanceof URL) return fileURLToPath(spec);
  if (spec.startsWith("file:")) return fileURLToPath(spec);
  const found =
    (await probe(resolve(base, spec))) ?? (await dotted(spec, base)) ?? (await packageFile(spec, base));
  if (found !== null) return found;
  throw new PetioleError(
    "PET_MODULE_FAILED",
    `module ${JSON.stringify(spec)} was not found in ${base}: there is no such file (${EXTENSIONS.join(", ")}), folder with an index, or package`,
  );
}

async function probe(path: string): Promise<string | null> {
  const kind = await stat(path).catch(() => null);
  if (kind?.isFile()) return path;
  const file = await withExtension(path);
  if (file !== null) return file;
  if (!kind?.isDirectory()) return null;
  for (const name of FOLDER_MODULES) {
    const inside = await withExtension(join(path, name));
    if (inside !== null) return inside;
  }
  return null;
}

async function withExtension(path: string): Promise<string | null> {
  // TypeScript projects import `./x.js` and mean `x.ts`.
  const written = /\.([cm]?)js$/.exec(basename(path));
  const stems = written ? [path.slice(0, -2)] : [];
  for (const candidate of [
    ...EXTENSIONS.map((extension) => `${path}${extension}`),
    ...stems.map((stem) => `${stem}ts`),
  ]) {
    if ((await stat(candidate).catch(() => null))?.isFile()) return candidate;
  }
  return null;
}

/** `proj.tasks` -> `proj/tasks`. */
async function dotted(spec: string, base: string): Promise<string | null> {
  if (!/^[\w$-]+(\.[\w$-]+)+$/.test(spec)) return null;
  return probe(resolve(base, spec.replaceAll(".", "/")));
}

async function packageFile(spec: string, base: string): Promise<string | null> {
  const match = /^(@[^/\s]+\/[^/\s]+|[^./@\s][^/\s]*)(\/.+)?$/.exec(spec);
  if (!match?.[1]) return null;
  const require = createRequire(join(base, "noop.js"));
  try {
    const file = require.resolve(spec);
    // A built-in resolves to its own name.
    return file === spec ? null : file;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ERR_PACKAGE_PATH_NOT_EXPORTED") return null;
  }
  return importOnly(match[1], match[2] ?? "", base);
}

/** The file of a package whose `exports` have no entry for `require`. Exact subpaths only, no patterns. */
async function importOnly(name: string, subpath: string, base: string): Promise<string | null> {
  for (let folder = resolve(base); ; folder = dirname(folder)) {
    const home = join(folder, "node_modules", name);
    const text = await readFile(join(home, "package.json"), "utf8").catch(() => null);
    if (text !== null) {
      const { exports } = JSON.parse(text) as { readonly exports?: unknown };
      const entry = conditional(
        isObject(exports) && Object.keys(exports).some((key) => key.startsWith("."))
          ? exports[`.${subpath}`]
          : subpath === ""
            ? exports
            : undefined,
      );
      return entry === null ? null : join(home, entry);
    }
    if (folder === dirname(folder)) return null;
  }
}

/** The first of Node's conditions for `import` that applies. */
function conditional(entry: unknown): string | null {
  if (typeof entry === "string") return entry;
  if (!isObject(entry)) return null;
  for (const [condition, value] of Object.entries(entry)) {
    if (
      condition === "import" ||
      condition === "node" ||
      condition === "default" ||
      condition === "module-sync"
    ) {
      const found = conditional(value);
      if (found !== null) return found;
    }
  }
  return null;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
