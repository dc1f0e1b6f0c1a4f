import { PetioleError } from "../errors.ts";

/**
 * Imports an optional package, or says which npm command installs it.
 *
 * @param name - the package, as written in `npm install`
 * @param feature - what needs it, for the message
 * @param load - the import itself, written out (`() => import("pg")`) where bundlers and other tools should see it
 * @throws PetioleError `PET_PEER_MISSING`
 */
export async function importPeer<T>(
  name: string,
  feature: string,
  load: () => Promise<unknown> = () => import(name),
): Promise<T> {
  try {
    return (await load()) as T;
  } catch (error) {
    rethrow(error, name, feature);
  }
}

/** As {@link importPeer}, for a package that can be loaded at once: one in CommonJS. */
export function requirePeer(name: string, feature: string, load: NodeJS.Require): unknown {
  try {
    return load(name);
  } catch (error) {
    rethrow(error, name, feature);
  }
}

function rethrow(error: unknown, name: string, feature: string): never {
  const code = (error as { code?: unknown } | null)?.code;
  if (code !== "ERR_MODULE_NOT_FOUND" && code !== "MODULE_NOT_FOUND") throw error;
  throw new PetioleError("PET_PEER_MISSING", `${feature} needs the package ${name}: npm install ${name}`, {
    cause: error,
  });
}
