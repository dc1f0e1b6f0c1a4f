/** Files that Python's `shelve` wrote: they are left alone. */

/** First bytes, in hex, of what Python's `dbm` writes: gdbm (both byte orders), SQLite. */
const MAGIC = [
  "cd9a5713",
  "ce9a5713",
  "cf9a5713",
  "13579acd",
  "13579ace",
  "13579acf",
  "53514c69746520666f726d6174",
];
/** Of Berkeley DB, after twelve others. */
const BERKELEY = "611506";

/** @param head - the first 16 bytes, in hex */
export function isPythonDbm(head: string): boolean {
  return MAGIC.some((magic) => head.startsWith(magic)) || head.slice(24).startsWith(BERKELEY);
}
