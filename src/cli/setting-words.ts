/**
 * Settings as the last words of a command line: `worker.prefetch_multiplier=2`. A dot is an underscore; what begins with
 * a dot is a setting of the worker. Python: `cmdline_config_parser` of `celery/loaders/base.py`.
 */
import { checkedValue } from "../app/config-value.ts";
import { findSetting } from "../app/settings.ts";
import { PetioleError } from "../errors.ts";

/** By name in the user's spelling, as `conf.update` takes them: names that are no settings are left for it to refuse. */
export function settingsOf(words: readonly string[]): Readonly<Record<string, unknown>> {
  const settings: Record<string, unknown> = {};
  for (const word of words) {
    const [, spelled, value] = /^([.\w]+)=(.*)$/s.exec(word) ?? [];
    if (spelled === undefined || value === undefined) {
      throw new PetioleError(
        "PET_USAGE",
        `${JSON.stringify(word)} is no setting: after the options come words like worker.prefetch_multiplier=2`,
      );
    }
    const name = spelled.replace(/^\./, "worker_").replaceAll(".", "_").toLowerCase();
    const found = findSetting(name);
    settings[name] =
      found?.kind === "setting"
        ? checkedValue(found.setting, found.setting.type.fromText(value), spelled)
        : value;
  }
  return settings;
}
