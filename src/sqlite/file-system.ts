/** Whether a file system can hold a database that processes share: it needs locks and shared memory of one host. */
import { statfs } from "node:fs/promises";
import { SqliteError } from "./errors.ts";

/** `f_type` of statfs(2), Linux. */
const NETWORK: ReadonlyMap<number, string> = new Map([
  [0x6969, "NFS"],
  [0xff534d42, "CIFS"],
  [0xfe534d42, "SMB2"],
  [0x517b, "SMB"],
  [0x01021997, "9P"],
  [0x00c36400, "CephFS"],
  [0x0bd00bd0, "Lustre"],
  [0x5346414f, "AFS"],
  [0x6b414653, "AFS"],
  [0x01161970, "GFS2"],
  [0x7461636f, "OCFS2"],
]);

type FileSystemType = (folder: string) => Promise<number>;

const typeOf: FileSystemType = async (folder) => (await statfs(folder)).type;

/** @throws SqliteError */
export async function refuseNetworkFolder(folder: string, type: FileSystemType = typeOf): Promise<void> {
  // Elsewhere the numbers mean something else.
  if (process.platform !== "linux" && type === typeOf) return;
  const name = NETWORK.get((await type(folder)) >>> 0);
  if (name === undefined) return;
  throw new SqliteError(
    `${JSON.stringify(folder)} is on a network file system (${name}), where several processes cannot share a SQLite database safely: use a local disk, or Redis for workers on several hosts`,
    { refused: true },
  );
}
