import { readFileSync } from "node:fs";

let known: string | null = null;

/** Of the package this file is in. */
export function version(): string {
  if (known !== null) return known;
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  known = String((JSON.parse(text) as { readonly version?: unknown }).version);
  return known;
}
