/** Where a project keeps its Celery app, when nobody says it. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { PetioleError } from "../../errors.ts";

const FOLDERS = ["", "src"];
const NAMES = ["app", "tasks", "celery", "index"];
const EXTENSIONS = ["ts", "js", "mts", "mjs", "cts", "cjs"];

/**
 * The first module of these names that speaks of a Celery app.
 *
 * @throws PetioleError `PET_APP_NOT_FOUND`
 */
export async function findModule(cwd: string): Promise<string> {
  const seen: string[] = [];
  for (const folder of FOLDERS) {
    for (const name of NAMES) {
      for (const extension of EXTENSIONS) {
        const path = join(folder, `${name}.${extension}`);
        const text = await readFile(join(cwd, path), "utf8").catch(() => null);
        if (text === null) continue;
        if (/\bCelery\b/.test(text)) return path;
        seen.push(path);
      }
    }
  }
  const found =
    seen.length === 0 ? "" : ` ${seen.join(", ")} ${seen.length === 1 ? "has" : "have"} no Celery app.`;
  throw new PetioleError(
    "PET_APP_NOT_FOUND",
    `no task module was found in ${cwd}: looked for ${NAMES.join(", ")} with .ts or .js, here and in src/, that makes a Celery app.${found} Name yours, as in petiole -A lib/tasks.ts dev, or begin a project with petiole init`,
  );
}
