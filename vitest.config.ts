import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { defineConfig, type TestProjectInlineConfiguration, type ViteUserConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

const root = fileURLToPath(new URL(".", import.meta.url));

// Workers inherit it: test/support/seed.ts.
if (process.env["PETIOLE_TEST_SEED"] === undefined) {
  process.env["PETIOLE_TEST_SEED"] = String(Math.floor(Math.random() * 2 ** 31));
  process.stderr.write(`seed: PETIOLE_TEST_SEED=${process.env["PETIOLE_TEST_SEED"]}\n`);
}

/** With coverage, tests of the public entries load the sources, so that lines count; else what is shipped. */
const withCoverage = process.argv.some((arg) => arg.startsWith("--coverage"));
const entry = (name: string): string =>
  withCoverage ? `${root}src/${name}index.ts` : `${root}dist/${name}index.js`;

/** What takes longest starts first, so that nothing long is left at the end: `make test` lists the slowest files. */
const LONGEST = [
  "conformance/transport-redis",
  "conformance/transport-sqlite",
  "integration/redis-transport-leases",
  "interop/commands",
  "integration/cli",
  "integration/faults",
  "package/create",
  "integration/example/http",
  "integration/redis-transport-faults",
  "integration/example/persistence",
  "interop/control",
  "integration/example/compose",
  "integration/canvas-model",
  "integration/redis-transport-wake",
  "package/install",
  "package/quick-start",
  "interop/canvas-judge",
  "integration/pool-prefork",
  "interop/events",
  "integration/cli-events",
  "integration/daemon",
  "integration/chord-kill",
  "integration/cli-json",
  "integration/beat",
  "interop/mixed-workers",
  "integration/watch",
  "interop/recovery",
  "package/demo-python",
  "interop/wire-variants",
  "integration/worker-limits",
  "integration/pool-async",
  "unit/documents/fences",
  "unit/types/types",
  "unit/protocol/fuzz",
];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = (file: TestSpecification): number => {
      const known = LONGEST.findIndex((name) => file.moduleId.endsWith(`/test/${name}.test.ts`));
      // Unit tests are short: they fill the end.
      return (known < 0 ? LONGEST.length : known) + (file.project.name === "unit" ? 1000 : 0);
    };
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b));
  }
}

interface Kind {
  /** Milliseconds for one test, and for one hook. */
  readonly timeoutMs: number;
  readonly hookMs: number;
  /** Does it need the build and servers? */
  readonly prepared: boolean;
  /** Do its files share processes? */
  readonly shared?: true;
}

function project(name: string, kind: Kind): TestProjectInlineConfiguration {
  return {
    extends: true,
    test: {
      name,
      include: [`test/${name}/**/*.test.ts`],
      testTimeout: kind.timeoutMs,
      hookTimeout: kind.hookMs,
      globalSetup: kind.prepared ? ["test/support/global-setup.ts"] : [],
      isolate: kind.shared !== true,
      setupFiles: kind.shared ? ["test/support/fresh-modules.ts"] : [],
    },
  };
}

const config: ViteUserConfig = defineConfig({
  resolve: {
    alias: [
      { find: /^petiole$/, replacement: entry("") },
      { find: /^petiole\/(worker|beat|protocol)$/, replacement: entry("$1/") },
      { find: /^petiole\/transactions$/, replacement: entry("integrations/transactions/") },
      { find: /^petiole\/statedb$/, replacement: entry("app/statedb/") },
      // What a test takes from the build into its own process counts too: test/support/built.ts.
      ...(withCoverage ? [{ find: /^\/.*\/dist\/(.*)\.js$/, replacement: `${root}src/$1.ts` }] : []),
    ],
  },
  test: {
    pool: "forks",
    // Most tests of the other projects wait for more than half of their time, for leases, servers and workers.
    maxWorkers: availableParallelism() + 2,
    sequence: { sequencer: LongestFirst },
    // Each starts processes of its own.
    maxConcurrency: 3,
    // The build is loaded by Node itself, as users load it.
    server: { deps: { external: [/\/dist\//] } },
    coverage: {
      provider: "v8",
      include: ["src/**"],
      // Types alone; what runs in threads and processes of its own, which V8 counts apart.
      exclude: ["src/**/*types.ts", "src/**/*-thread.ts"],
      reporter: ["text-summary", "json-summary", "html"],
      reportOnFailure: true,
    },
    projects: [
      project("unit", { timeoutMs: 120_000, hookMs: 120_000, prepared: false, shared: true }),
      project("conformance", { timeoutMs: 120_000, hookMs: 120_000, prepared: true }),
      project("integration", { timeoutMs: 120_000, hookMs: 120_000, prepared: true }),
      project("interop", { timeoutMs: 180_000, hookMs: 180_000, prepared: true }),
      project("package", { timeoutMs: 240_000, hookMs: 240_000, prepared: true }),
      {
        extends: true,
        test: {
          name: "types",
          include: [],
          globalSetup: ["test/support/global-setup.ts"],
          typecheck: {
            enabled: true,
            only: true,
            include: ["test/types/**/*.test-d.ts"],
            // Against the declarations that are shipped.
            tsconfig: "test/types/tsconfig.built.json",
          },
        },
      },
    ],
  },
});
export default config;
