import type * as KyselyModule from "kysely";
import { importPeer } from "../base/import-peer.ts";

/** @throws PetioleError `PET_PEER_MISSING` */
export function requireKysely(): Promise<typeof KyselyModule> {
  return importPeer<typeof KyselyModule>("kysely", "a SQL database", () => import("kysely"));
}
