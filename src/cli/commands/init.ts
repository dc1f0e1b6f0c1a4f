/** `petiole init`, and `npm create petiole`: a new project that runs at once. */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import { PetioleError } from "../../errors.ts";
import type { ExitCode, Invocation } from "../io.ts";
import { jsonLine } from "../json-line.ts";
import { enterWorkdir } from "../open-app.ts";
import { projectFiles } from "../start/template.ts";

const NAME = "petiole-app";

export async function init({ args, options, globals, io }: Invocation): Promise<ExitCode> {
  const cwd = enterWorkdir(globals, io.cwd);
  const [given] = args;
  const fallback = isEmpty(cwd) ? "." : NAME;
  const answer =
    given ?? (options["yes"] === true ? "" : await io.ask(`Folder of the project [${fallback}]: `));
  if (answer === null) return 1;
  const folder = resolve(cwd, answer.trim() || fallback);
  const files = projectFiles(packageName(folder));
  const there = files.filter(({ path }) => existsSync(join(folder, path)));
  if (there.length > 0) {
    throw new PetioleError(
      "PET_USAGE",
      `nothing was written: ${folder} has ${there.map(({ path }) => path).join(", ")} already. Name another folder, or add to your project what npm install petiole needs: an app, as in the README's quick start`,
    );
  }
  for (const { path, text } of files) {
    const file = join(folder, path);
    mkdirSync(dirname(file), { recursive: true });
    // Refused, too, when somebody has just made it.
    writeFileSync(file, text, { flag: "wx" });
  }
  if (options["json"] === true) io.out(jsonLine({ folder, files: files.map(({ path }) => path) }));
  else io.out(nextSteps(relative(cwd, folder)));
  return 0;
}

/** Of the folder's name; npm's rules for names. */
function packageName(folder: string): string {
  const name = basename(folder)
    .toLowerCase()
    .replaceAll(/[^a-z\d]+/g, "-")
    .replaceAll(/^-|-$/g, "");
  return name === "" ? NAME : name;
}

/** Or not there yet. What begins with a dot, as `.git`, counts for nothing. */
function isEmpty(folder: string): boolean {
  return !existsSync(folder) || readdirSync(folder).every((name) => name.startsWith("."));
}

function nextSteps(folder: string): string {
  const enter = folder === "" ? "" : `  cd ${folder}\n`;
  return `The project is written${folder === "" ? "" : ` to ${folder}`}. Next:

${enter}  npm install
  npm run dev        # in one terminal
  npm run call       # in another
`;
}
