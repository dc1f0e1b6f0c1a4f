import type { Settings } from "../settings-types.ts";
import type { ValueType } from "./values.ts";

/** What a number counts. */
export type Unit = "seconds" | "milliseconds" | "KiB" | "messages" | "tasks" | "connections" | "attempts";

/** One setting as the table has it; its camelCase name is the key it stands under. */
export interface SettingRow<T = unknown> {
  /** Celery's upper-case name before version 4; null: it never had one. */
  readonly old: string | null;
  /** How much a Celery user misses it: M must, U useful. */
  readonly kind: "M" | "U";
  readonly type: ValueType<T>;
  /** null: no value. */
  readonly default: T | null;
  /** null is accepted though the default is not null. */
  readonly nullable?: true;
  readonly unit?: Unit;
  /** One line, for the docs and the editor. */
  readonly text: string;
  /** Where we differ from Celery, or what else one has to know. */
  readonly note?: string;
  /** Holds a password or a key: its value is never shown. */
  readonly secret?: true;
  /** Read by this version. false: accepted, without effect. */
  readonly effective: boolean;
  /** Why it has no effect and needs none. Not given: not yet. */
  readonly why?: string;
  /** The version that knew it first. Default: 0.1.0. */
  readonly since?: string;
}

/** The rows of all settings whose name matches `Pattern`: a missing and an unknown one are both compile errors. */
export type Section<Pattern extends string> = {
  readonly [K in Extract<keyof Settings, Pattern>]-?: SettingRow<Exclude<Settings[K], undefined | null>>;
};
