/** Standard Schema around a task: `input` describes its one object argument, `output` its result. */
import { RemoteError } from "../errors.ts";
import type { TaskDefinition } from "./definition.ts";
import { isEmpty } from "./parameters.ts";
import type { SchemaResult, StandardSchema } from "./schema-types.ts";

type Kwargs = Readonly<Record<string, unknown>>;

/**
 * The object that a task with an `input` schema is called with: keyword arguments, or one positional object (a chain's
 * result), or both merged, keyword arguments winning. Checked, and as the schema gives it back.
 *
 * @throws TypeError when the arguments make no object; a ValueError of Python's with the path when the schema refuses it
 */
export async function bindInput(
  definition: TaskDefinition,
  args: readonly unknown[],
  kwargs: Kwargs,
): Promise<unknown> {
  const given = inputObject(definition.name, args, kwargs);
  return definition.input === null ? given : validate(definition.input, given, `${definition.name}: input`);
}

/** The result as the `output` schema gives it back; unchanged without one. */
export async function checkOutput(definition: TaskDefinition, value: unknown): Promise<unknown> {
  return definition.output === null
    ? value
    : validate(definition.output, value, `${definition.name}: output`);
}

function inputObject(task: string, args: readonly unknown[], kwargs: Kwargs): Kwargs {
  const [first] = args;
  if (args.length === 0) return kwargs;
  if (args.length > 1 || typeof first !== "object" || first === null || Array.isArray(first)) {
    throw new TypeError(
      `${task}() takes keyword arguments, or one object by position, but ${args.length} positional argument${args.length === 1 ? "" : "s"} came${args.length === 1 ? ", which is no object" : ""}`,
    );
  }
  return isEmpty(kwargs) ? (first as Kwargs) : { ...(first as Kwargs), ...kwargs };
}

async function validate(schema: StandardSchema, value: unknown, where: string): Promise<unknown> {
  const result = await schema["~standard"].validate(value);
  if (result.issues === undefined) return result.value;
  throw new RemoteError({
    type: "ValueError",
    module: "builtins",
    args: [issuesText(result, where)],
    traceback: null,
  });
}

/** At most this many are shown. */
const MAX_ISSUES = 20;

function issuesText(result: SchemaResult<unknown>, where: string): string {
  const issues = result.issues ?? [];
  const shown = issues
    .slice(0, MAX_ISSUES)
    .map((issue) => `${where}${pathText(issue.path ?? [])}: ${issue.message}`);
  if (issues.length > MAX_ISSUES) shown.push(`and ${issues.length - MAX_ISSUES} more`);
  return shown.join("; ");
}

function pathText(path: readonly (PropertyKey | { readonly key: PropertyKey })[]): string {
  return path
    .map((part) => {
      const key = typeof part === "object" ? part.key : part;
      return typeof key === "number" ? `[${key}]` : `.${String(key)}`;
    })
    .join("");
}
