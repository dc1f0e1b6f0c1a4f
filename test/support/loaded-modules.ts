/** The modules in files of `dist/`: some are joined (scripts/bundle.mjs), and a source map names what a file holds. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { built, root } from "./built.ts";

const DIST = built("");

export interface Loaded {
  /** Files of `dist/`. */
  readonly files: readonly string[];
  /** Modules in them, as paths below `src/` with the ending `.js`. */
  readonly modules: readonly string[];
}

/** `urls`: of all that was loaded. */
export function loadedModules(urls: readonly string[]): Loaded {
  const paths = [...new Set(urls)].filter((url) => url.startsWith("file:")).map((url) => fileURLToPath(url));
  const files = paths.filter((path) => path.startsWith(DIST));
  return { files: files.map((file) => file.slice(DIST.length)), modules: files.flatMap(modulesOf) };
}

/** None in a file that only passes on what another one holds. */
function modulesOf(file: string): readonly string[] {
  const map = `${file}.map`;
  if (!existsSync(map)) return [];
  const { sources } = JSON.parse(readFileSync(map, "utf8")) as { readonly sources: readonly string[] };
  const src = join(root, "src");
  return sources
    .map((source) => relative(src, join(dirname(file), source)))
    .filter((path) => path.endsWith(".ts"))
    .map((path) => path.replace(/\.ts$/, ".js"));
}
