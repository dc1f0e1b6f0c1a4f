/** The TypeScript in the documents compiles against the public API, with a user's strict settings. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { expect, test } from "vitest";
import { root } from "../../support/built.ts";

const documents = [
  "README.md",
  ...readdirSync(join(root, "docs"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
  ...readdirSync(join(root, "docs/guides"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/guides/${name}`),
];

interface Fence {
  readonly name: string;
  readonly code: string;
}

/** A line that is a file's name in backticks names the fence that follows. */
function fences(document: string): Fence[] {
  const text = readFileSync(join(root, document), "utf8");
  return [...text.matchAll(/(?:^`([\w-]+\.ts)`\n)?^```ts\n([\s\S]*?)^```$/gm)].map(
    ([, name, code = ""], index) => ({
      name: name ?? `fence-${index + 1}.ts`,
      code: code.includes("export ") || code.includes("import ") ? code : `${code}\nexport {};\n`,
    }),
  );
}

/** What a document may import without showing it. */
const STUBS: Record<string, string> = {
  "tasks.ts": `import { Celery } from "petiole";
export const app = new Celery("shop");
export const add = app.task("shop.add", (x: number, y: number) => x + y);
`,
};

test("the TypeScript of every document compiles", () => {
  const dir = join(root, ".cache/fences");
  rmSync(dir, { recursive: true, force: true });
  const files: string[] = [];
  for (const document of documents) {
    const folder = join(dir, document.replaceAll("/", "-"));
    mkdirSync(folder, { recursive: true });
    const all = { ...STUBS, ...Object.fromEntries(fences(document).map(({ name, code }) => [name, code])) };
    for (const [name, code] of Object.entries(all)) {
      writeFileSync(join(folder, name), code);
      files.push(join(folder, name));
    }
  }
  const entry = (path: string): string[] => [join(root, "src", path, "index.ts")];
  const program = ts.createProgram(files, {
    target: ts.ScriptTarget.ES2023,
    module: ts.ModuleKind.NodeNext,
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    allowImportingTsExtensions: true,
    types: ["node"],
    typeRoots: [join(root, "node_modules/@types")],
    paths: {
      petiole: entry(""),
      "petiole/worker": entry("worker"),
      "petiole/transactions": entry("integrations/transactions"),
      "petiole/protocol": entry("protocol"),
    },
  });
  const wrong = files
    .map((file) => program.getSourceFile(file)!)
    .flatMap((file) => [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)])
    .map((one) => {
      const { line } = one.file!.getLineAndCharacterOfPosition(one.start ?? 0);
      const where = `${one.file!.fileName.slice(dir.length + 1)}:${line + 1}`;
      return `${where} ${ts.flattenDiagnosticMessageText(one.messageText, "\n")}`;
    });
  expect(files.length).toBeGreaterThan(5);
  expect(wrong).toEqual([]);
}, 240_000);
