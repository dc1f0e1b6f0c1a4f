import { fileURLToPath } from "node:url";
import { defineConfig, type TestProjectInlineConfiguration, type ViteUserConfig } from "vitest/config";

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

interface Kind {
  /** Milliseconds for one test, and for one hook. */
  readonly timeoutMs: number;
  readonly hookMs: number;
  /** Does it need the build and servers? */
  readonly prepared: boolean;
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
    },
  };
}

const config: ViteUserConfig = defineConfig({
  resolve: {
    alias: [
      { find: /^petiole$/, replacement: entry("") },
      { find: /^petiole\/(worker|protocol)$/, replacement: entry("$1/") },
      // What a test takes from the build into its own process counts too: test/support/built.ts.
      ...(withCoverage ? [{ find: /^\/.*\/dist\/(.*)\.js$/, replacement: `${root}src/$1.ts` }] : []),
    ],
  },
  test: {
    pool: "forks",
    maxWorkers: 2,
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
      project("unit", { timeoutMs: 15_000, hookMs: 15_000, prepared: false }),
      project("conformance", { timeoutMs: 60_000, hookMs: 60_000, prepared: true }),
      project("integration", { timeoutMs: 60_000, hookMs: 60_000, prepared: true }),
      project("interop", { timeoutMs: 90_000, hookMs: 120_000, prepared: true }),
      project("package", { timeoutMs: 240_000, hookMs: 240_000, prepared: true }),
      {
        extends: true,
        test: {
          name: "types",
          include: [],
          typecheck: {
            enabled: true,
            only: true,
            include: ["test/types/**/*.test-d.ts"],
            tsconfig: "test/types/tsconfig.json",
          },
        },
      },
    ],
  },
});
export default config;
