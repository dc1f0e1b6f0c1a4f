/** The option `validate` of a send: bad arguments are refused here instead of in the worker. */
import { PetioleError, RemoteError } from "../errors.ts";
import type { TaskDefinition } from "../task/definition.ts";
import { bindInput } from "../task/input.ts";
import type { CallArguments } from "../task/kw.ts";

/**
 * What was given travels, not what the schema makes of it: the worker checks once more.
 *
 * @throws PetioleError `PET_ARGUMENTS`
 */
export async function validateInput(definition: TaskDefinition, call: CallArguments): Promise<void> {
  try {
    await bindInput(definition, call.args, call.kwargs);
  } catch (error) {
    const text =
      error instanceof RemoteError
        ? String(error.args[0])
        : error instanceof TypeError
          ? error.message
          : null;
    if (text === null) throw error;
    throw new PetioleError("PET_ARGUMENTS", `arguments do not fit: ${text}`, { cause: error });
  }
}
