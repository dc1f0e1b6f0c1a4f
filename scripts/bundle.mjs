// Joins the modules that are loaded together, so that a start reads a dozen files instead of hundreds: src/ to dist/, types
// stripped (tsc checks them, and writes the declarations). Each module stays importable under its own path in dist/: what was
// joined is in dist/chunks/, its path only passes it on. So a class is the same however it is reached, and what is loaded
// lazily stays in files of its own.
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";

/**
 * What a process loads in one go: the modules that it imports, and those that it always asks for a moment later. A module is
 * joined with those that the same rows reach; with a client's first, as every process is one.
 */
const STARTS = {
  client: ["index.ts"],
  redis: ["transports/redis/index.ts"],
  results: ["backends/redis/index.ts"],
  consumer: ["transports/redis/consumer.ts", "transports/redis/fanout.ts"],
  memory: ["transports/memory/index.ts"],
  kept: ["backends/memory/index.ts"],
  sqlite: ["transports/sqlite/index.ts", "backends/sqlite/index.ts"],
  child: ["worker/child-main.ts"],
  worker: ["worker/index.ts", "worker/gossip.ts"],
  program: ["cli/program.ts", "cli/daemon/marks.ts"],
  command: ["cli/specs/worker.ts", "cli/commands/worker.ts"],
};
/** Small, without I/O, and needed by whatever does some: joined, with which of them a process begins. Need nothing else. */
const SHARED = /^(base|protocol)\/|^transports\/[^/]+$/;
/** Threads have little memory: what they share with others is in files of its own, which hold nothing else. */
const isThread = (path) => path.endsWith("-thread.ts");
/** They run when they are loaded. */
const isProgram = (path) => isThread(path) || path === "cli/main.ts" || path === "worker/child-main.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const src = join(root, "src");
const dist = join(root, "dist");

/** The names of the files in dist/. @throws when a module cannot be read */
export async function bundle() {
  const modules = readdirSync(src, { recursive: true }).filter((name) => name.endsWith(".ts"));
  const graph = new Map();
  const build = await rolldown({
    cwd: root,
    input: Object.fromEntries(modules.map((name) => [name.slice(0, -3), join(src, name)])),
    external: (id) => !id.startsWith(".") && !id.startsWith(src),
    platform: "node",
    tsconfig: false,
    transform: { target: "es2023" },
    treeshake: false,
    preserveEntrySignatures: "strict",
    plugins: [ownUrls, imports(graph)],
    // A module that is joined with what asks for it later is meant to be.
    checks: { ineffectiveDynamicImport: false, pluginTimings: false },
  });
  const options = {
    dir: dist,
    format: "esm",
    sourcemap: true,
    comments: { jsdoc: false },
    // Names of classes go over the wire.
    keepNames: true,
    entryFileNames: "[name].js",
    chunkFileNames: "chunks/[name].js",
  };
  // The first time for what imports what.
  await build.generate(options);
  const { output } = await build.generate({ ...options, codeSplitting: { groups: groups(modules, graph) } });
  await build.close();
  refuseCycles(output);
  for (const one of output) write(one.fileName, one.type === "chunk" ? one.code : one.source);
  return output.map(({ fileName }) => fileName);
}

/** Processes that run meanwhile find the old file or the new one, and what is the same is left alone. */
function write(name, text) {
  const path = join(dist, name);
  if (existsSync(path) && readFileSync(path, "utf8") === String(text)) return;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}

/** Files that need each other would run in an order that nobody wrote down. */
function refuseCycles(output) {
  const open = new Set(output.filter(({ type }) => type === "chunk"));
  const names = () => new Set([...open].map(({ fileName }) => fileName));
  for (let left = names(), size = -1; size !== left.size; left = names()) {
    size = left.size;
    for (const one of open) if (!one.imports.some((name) => left.has(name))) open.delete(one);
  }
  if (open.size === 0) return;
  const between = [...names()].filter((name) => name.startsWith("chunks/")).join(", ");
  throw new Error(
    `files of dist/ import each other (${between}): mend STARTS or SHARED in scripts/bundle.mjs`,
  );
}

/** By module: what it imports. */
function imports(graph) {
  return {
    name: "imports",
    buildEnd() {
      for (const id of this.getModuleIds()) {
        const { importedIds } = this.getModuleInfo(id);
        const own = importedIds.filter((one) => one.startsWith(src));
        graph.set(
          relative(src, id),
          own.map((one) => relative(src, one)),
        );
      }
    },
  };
}

/** What is joined: by name, those that most need first. They are closed, as all that reaches a module reaches its imports. */
function groups(modules, graph) {
  const reachedBy = new Map();
  const reach = (start, paths) => {
    const seen = new Set(paths);
    for (const path of seen) {
      reachedBy.set(path, [...(reachedBy.get(path) ?? []), start]);
      for (const one of graph.get(path) ?? []) seen.add(one);
    }
  };
  for (const [start, paths] of Object.entries(STARTS)) {
    const unknown = paths.filter((path) => !modules.includes(path));
    if (unknown.length > 0)
      throw new Error(`no module src/${unknown.join(", src/")}: mend STARTS.${start} in scripts/bundle.mjs`);
    reach(start, paths);
  }
  for (const path of modules.filter(isThread)) reach(basename(path, ".ts"), [path]);
  const joined = new Map();
  for (const [path, names] of reachedBy) {
    const starts = names.filter((name) => name in STARTS);
    if (starts.length === 0 || isProgram(path)) continue;
    const threads = names.filter((name) => !(name in STARTS));
    const ofClient = starts[0] === "client";
    const isShared = !ofClient && threads.length === 0 && SHARED.test(path);
    const name = [...(ofClient ? ["client"] : isShared ? ["shared"] : starts), ...threads].join("-");
    const rank = names.length + (ofClient ? 200 : isShared ? 100 : 0);
    joined.set(name, { name, rank, paths: [...(joined.get(name)?.paths ?? []), path] });
  }
  return [...joined.values()].map(({ name, rank, paths }) => {
    const ids = new Set(paths.map((path) => join(src, path)));
    return { name, priority: rank, test: (id) => ids.has(id) };
  });
}

/** `import.meta.url` of a module that was joined is still that of its path in dist/. */
const MARK = "own-url:";
const ownUrls = {
  name: "own-urls",
  transform(code, id) {
    if (!code.includes("import.meta.url")) return null;
    const path = JSON.stringify(`${MARK}${relative(src, id).replace(/\.ts$/, ".js")}`);
    // On its line: the source map stays true.
    return { code: code.replaceAll("import.meta.url", `new URL(${path}, import.meta.url).href`), map: null };
  },
  renderChunk(code, { fileName }) {
    if (!code.includes(MARK)) return null;
    const there = (path) => relative(dirname(fileName), path).replace(/^(?!\.)/, "./");
    return { code: code.replaceAll(new RegExp(`${MARK}([^"]+)`, "g"), (_, path) => there(path)), map: null };
  },
};
