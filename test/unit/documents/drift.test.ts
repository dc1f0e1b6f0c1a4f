/** Documents say what the code is: codes, folders, links. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { REMEDIES } from "../../../src/cli/remedies.ts";
import { ERROR_CODES, type PetioleErrorCode } from "../../../src/errors.ts";
import { root } from "../../support/built.ts";

const read = (path: string): string => readFileSync(join(root, path), "utf8");
const guides = readdirSync(join(root, "docs"), { recursive: true })
  .map((name) => `docs/${String(name)}`)
  .filter((name) => name.endsWith(".md"));
const documents = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", ...guides];
/** Folders of src/ that hold something. */
const folders = readdirSync(join(root, "src"), { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && readdirSync(join(root, "src", entry.name)).length > 0)
  .map((entry) => entry.name);

test("docs/errors.md has every error code with its text, and no other", () => {
  const rows = [...read("docs/errors.md").matchAll(/^\| `(PET_[A-Z_]+)` \| (.+) \| (.+) \|$/gm)];
  const listed = Object.fromEntries(rows.map(([, code, ...texts]) => [code, texts]));
  const codes = Object.keys(ERROR_CODES) as PetioleErrorCode[];
  expect(listed).toEqual(
    Object.fromEntries(codes.map((code) => [code, [ERROR_CODES[code], REMEDIES[code]]])),
  );
  expect(rows).toHaveLength(Object.keys(ERROR_CODES).length);
});

test("the picture in docs/architecture.md has every folder of src/, and no other", () => {
  const picture =
    /^src\/\n(?<body>[\s\S]*?)^test\//m.exec(read("docs/architecture.md"))?.groups?.["body"] ?? "";
  const drawn = [...picture.matchAll(/^ {2}([a-z]+)\//gm)].map(([, name]) => name);
  expect(new Set(drawn)).toEqual(new Set(folders));
});

test("every folder of src/ has its row in the import rules", () => {
  const rules = read(".dependency-cruiser.cjs");
  const without = folders.filter((name) => !new RegExp(`^ {2}${name}: \\[`, "m").test(rules));
  expect(without).toEqual([]);
});

test.each(documents)("the links of %s lead to files and headings that exist", (path) => {
  const targets = [...read(path).matchAll(/\]\((?!https?:|mailto:)([^)\s]+)\)/g)].map(
    ([, target = ""]) => target,
  );
  const broken = targets.filter((target) => {
    const [file = "", heading] = target.split("#");
    const linked = file === "" ? path : join(dirname(path), file);
    if (!existsSync(join(root, linked))) return true;
    return heading !== undefined && !headings(linked).includes(heading);
  });
  expect(broken).toEqual([]);
});

test.each(documents)("the make targets that %s names exist", (path) => {
  const targets = new Set([...read("Makefile").matchAll(/^([a-z-]+):/gm)].map(([, name]) => name));
  const named = [...read(path).matchAll(/(?:`|^|[(+] ?)make ([a-z][a-z-]*)/gm)].map(([, name]) => name);
  expect(named.filter((name) => !targets.has(name))).toEqual([]);
});

/** GitHub's anchors of a document's headings. */
function headings(path: string): string[] {
  return [...read(path).matchAll(/^#+ (.+)$/gm)].map(([, title = ""]) =>
    title
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}
