/** What an app is made of, for bug reports and `inspect`: versions, and settings without their secrets. */
import { arch, release, type as systemType } from "node:os";
import { repr } from "../protocol/python-repr.ts";
import { MASK } from "./config-value.ts";
import type { ResolvedSettings } from "./internals.ts";
import { SETTINGS, type Setting } from "./settings.ts";

/** Settings by Celery's names; secrets are masked, URLs lose their passwords. Without defaults: only what differs from them. */
export function settingsTable(
  conf: ResolvedSettings,
  options: { readonly withDefaults: boolean },
): Readonly<Record<string, unknown>> {
  const entries = SETTINGS.flatMap((setting) => {
    const value = conf[setting.name];
    if (!options.withDefaults && JSON.stringify(value) === JSON.stringify(setting.default)) return [];
    return [[setting.python, shown(setting, value)] as const];
  });
  return Object.fromEntries(entries);
}

function shown(setting: Setting, value: unknown): unknown {
  if (value === null) return null;
  const urls = textsOf(value);
  const plain = urls.length > 0 && urls.every((url) => /^[a-z][a-z0-9+.-]*:\/\//i.test(url));
  if (setting.secret && plain)
    return Array.isArray(value) ? urls.map(withoutPassword) : withoutPassword(urls[0] ?? "");
  if (setting.secret && JSON.stringify(value) !== JSON.stringify(setting.default)) return MASK;
  return travels(value, 0);
}

function textsOf(value: unknown): readonly string[] {
  const values: readonly unknown[] = Array.isArray(value) ? value : [value];
  return values.every((one) => typeof one === "string") ? values : [];
}

/** As kombu shows a URL: `redis://user:**@host`. A query may hold secrets too. */
function withoutPassword(url: string): string {
  return url
    .replaceAll(/(\b[a-z][a-z0-9+.-]*:\/\/[^\s:@/;]*:)[^@\s;]*@/gi, "$1**@")
    .replaceAll(/([?&][^=&;\s]*(?:pass|secret|token|key)[^=&;\s]*=)[^&;\s]*/gi, "$1**");
}

const MAX_DEPTH = 6;

/** What JSON has no word for is named: a function, a class. */
function travels(value: unknown, depth: number): unknown {
  if (typeof value === "function" || typeof value === "symbol" || typeof value === "bigint") {
    return repr(String(value).slice(0, 80));
  }
  if (typeof value !== "object" || value === null || value instanceof Date) return value;
  if (depth >= MAX_DEPTH) return "...";
  if (Array.isArray(value)) return value.map((one) => travels(one, depth + 1));
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return repr(value.constructor?.name ?? "object");
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => [
      name,
      /pass|secret|token|private|^key$/i.test(name) && one !== null ? MASK : travels(one, depth + 1),
    ]),
  );
}

/** Celery's `bugreport`. */
export function bugReport(conf: ResolvedSettings, version: string): string {
  const settings = Object.entries(settingsTable(conf, { withDefaults: false }));
  const urlOf = (name: "brokerUrl" | "resultBackend"): string => {
    const value = conf[name];
    return typeof value === "string" ? withoutPassword(value) : "disabled";
  };
  const transport = /^([a-z][a-z0-9+.-]*):/i.exec(urlOf("brokerUrl"))?.[1] ?? "none";
  return [
    "",
    `software -> petiole:${version} celery:5.6.3 (protocol) node:${process.versions.node}`,
    `            v8:${process.versions.v8} openssl:${process.versions.openssl}`,
    `platform -> system:${systemType()} arch:${arch()}`,
    `            kernel version:${release()} imp:Node.js`,
    "loader   -> petiole",
    `settings -> transport:${transport} results:${urlOf("resultBackend")}`,
    "",
    ...settings.map(([name, value]) => `${name}: ${repr(value)}`),
    "",
  ].join("\n");
}
