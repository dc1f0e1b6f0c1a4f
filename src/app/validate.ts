/** The option `validate` of a send: bad arguments are refused here instead of in the worker. */
import { PetioleError } from "../errors.ts";
import type { CallArguments } from "../task/kw.ts";
import type { SchemaResult } from "../task/schema-types.ts";
import type { SendPlan } from "./send-plan.ts";

type Issues = NonNullable<Exclude<SchemaResult<unknown>, { readonly value: unknown }>["issues"]>;

/** At most so many issues are shown. */
const MAX_SHOWN = 5;

function textOf(issues: Issues): string {
  const shown = issues.slice(0, MAX_SHOWN).map(({ path, message }) => {
    const at = (path ?? []).map((part) => String(typeof part === "object" ? part.key : part)).join(".");
    return at === "" ? message : `${at}: ${message}`;
  });
  const more = issues.length - shown.length;
  return `${shown.join("; ")}${more > 0 ? `; and ${more} more` : ""}`;
}

/** What was given travels, not what the schema makes of it: the worker checks once more. */
export async function validateInput(plan: SendPlan, call: CallArguments): Promise<void> {
  if (plan.input === null) return;
  const [first] = call.args;
  const object = typeof first === "object" && first !== null ? { ...first, ...call.kwargs } : call.kwargs;
  const checked = await plan.input["~standard"].validate(object);
  if (checked.issues === undefined) return;
  throw new PetioleError(
    "PET_ARGUMENTS",
    `arguments of task ${plan.task} do not fit its input: ${textOf(checked.issues)}`,
  );
}
