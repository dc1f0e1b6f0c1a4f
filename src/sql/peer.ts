import { importPeer } from "../base/import-peer.ts";

/** @throws PetioleError `PET_PEER_MISSING` */
export async function requireKysely(): Promise<void> {
  await importPeer("kysely", "a SQL database", () => import("kysely"));
}
