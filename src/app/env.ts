/**
 * Settings from the environment. Four variables are always read, as in Celery: `CELERY_BROKER_URL`, `CELERY_BROKER_READ_URL`,
 * `CELERY_BROKER_WRITE_URL`, `CELERY_RESULT_BACKEND`. `configFromEnv` reads one for every setting: `CELERY_WORKER_CONCURRENCY=4`.
 *
 * Text becomes a value by the setting's type: `true`/`yes`/`on`/`1`, numbers, durations (`90`, `90s`, `1h30m`, `500ms`), lists
 * with commas or in JSON, objects in JSON, `null`. An empty variable is one that is not set.
 */
import { nearestVariable, type SettingsSource } from "./config-source.ts";
import { checkedValue } from "./config-value.ts";
import type { IgnoredSetting } from "./settings/ignored.ts";
import { namespaced, namespacePrefix } from "./settings/names.ts";
import { findOldSetting, findSetting, type Setting, type SettingName } from "./settings.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** Read from the environment always; there they win over everything. */
export const ALWAYS_FROM_ENV: ReadonlySet<SettingName> = new Set<SettingName>([
  "brokerUrl",
  "brokerReadUrl",
  "brokerWriteUrl",
  "resultBackend",
]);

/** Variables of Celery, and of the command line's options (`cli/environment.ts`), that are no settings. */
const OTHER_VARIABLES: ReadonlySet<string> = new Set(
  (
    "APP CONFIG_MODULE CUSTOM_WORKER_POOL LOADER LOG_FILE LOG_LEVEL LOG_REDIRECT LOG_REDIRECT_LEVEL SKIP_CHECKS TRACE_APP " +
    "WORKER_REVOKES_MAX WORKER_REVOKE_EXPIRES WORKER_SUCCESSFUL_MAX WORKER_SUCCESSFUL_EXPIRES " +
    "LIMITS_JSON LIMITS_TASK MULTI_EXECUTABLE MULTI_HOSTNAME MULTI_JSON MULTI_LOGFILE MULTI_PIDFILE MULTI_PREFIX MULTI_RANGE_PREFIX MULTI_SUFFIX MULTI_VERBOSE " +
    "BROKER CONFIG NO_COLOR QUIET WORKDIR CALL_ARGS CALL_COUNTDOWN CALL_ETA CALL_EXCHANGE CALL_EXPIRES CALL_KWARGS " +
    "CALL_QUEUE CALL_ROUTING_KEY CALL_SERIALIZER DEAD_ALL DEAD_EXCLUDE_QUEUES DEAD_FORCE DEAD_JSON DEAD_LIMIT DEAD_NEWER_THAN " +
    "DEAD_OLDER_THAN DEAD_QUEUES DEAD_REASON DEAD_TASK PURGE_EXCLUDE_QUEUES PURGE_FORCE PURGE_QUEUES QUEUE_JSON RESULT_TASK RESULT_TIMEOUT " +
    "RESULT_TRACEBACK RESULT_LOGS WORKER_AUTOSCALE WORKER_EXCLUDE_QUEUES WORKER_HOSTNAME WORKER_INCLUDE WORKER_JSON WORKER_LOGLEVEL WORKER_PRINT_STEPS " +
    "WORKER_PURGE WORKER_QUEUES WORKER_SOFT_TIME_LIMIT WORKER_TIME_LIMIT WORKER_WITHOUT_GOSSIP WORKER_WITHOUT_HEARTBEAT " +
    "WORKER_WITHOUT_MINGLE WORKER_CONTROL_READ_ONLY STATEDB_JSON STATEDB_LIMIT STATEDB_NO_MERGE STATEDB_OLDER_THAN STATEDB_REDIS_STATEDB STATEDB_STATEDB WORKER_STATEDB WORKER_REDIS_STATEDB WORKER_MIGRATE_STATEDB INSPECT_DESTINATION INSPECT_JSON INSPECT_LIST INSPECT_TIMEOUT " +
    "CONTROL_DESTINATION CONTROL_JSON CONTROL_LIST CONTROL_TIMEOUT STATUS_DESTINATION STATUS_JSON STATUS_TIMEOUT " +
    "MIGRATE_LIMIT MIGRATE_TASKS MIGRATE_QUEUES MIGRATE_ACK_MESSAGES MIGRATE_TIMEOUT MIGRATE_FOREVER MIGRATE_JSON DB_DATABASE DB_ONLY DB_CHECK DB_SQL DB_JSON LIMITS_TASK LIMITS_JSON LIST_JSON REPORT_JSON CALL_JSON RESULT_JSON PURGE_JSON COMPLETE_JSON EXPLAIN_JSON DEV_QUEUES DEV_CONCURRENCY DEV_LOGLEVEL DEV_JSON INIT_YES INIT_JSON SHELL_JSON SHELL_EVAL GRAPH_JSON GRAPH_TIMEOUT GRAPH_DESTINATION LOGTOOL_JSON EVENTS_DUMP EVENTS_CAMERA EVENTS_FREQ EVENTS_FREQUENCY EVENTS_MAXRATE EVENTS_JSON WORKER_EVENTS WORKER_TASK_EVENTS WORKER_HEARTBEAT_INTERVAL WORKER_HEALTH_PORT WORKER_DETACH WORKER_WATCH WORKER_BEAT WORKER_SCHEDULE_FILENAME WORKER_SCHEDULER BEAT_DETACH BEAT_JSON BEAT_LOGLEVEL BEAT_MAX_INTERVAL " +
    "SCHEDULE_TASK SCHEDULE_ARGS SCHEDULE_KWARGS SCHEDULE_QUEUE SCHEDULE_OPTIONS SCHEDULE_DISABLED SCHEDULE_EVERY SCHEDULE_CRONTAB SCHEDULE_CRON SCHEDULE_AT SCHEDULE_TIMEZONE SCHEDULE_START_TIME SCHEDULE_END_TIME SCHEDULE_ONE_OFF SCHEDULE_JITTER SCHEDULE_CATCH_UP SCHEDULE_OVERLAP SCHEDULE_SCHEDULER SCHEDULE_SCHEDULE SCHEDULE_JSON"
  ).split(" "),
);

/** One of the four, or null when it is not set. */
export function alwaysFromEnv(name: SettingName, env: Environment): string | null {
  return env[namespaced(name, "CELERY")] || null;
}

/** A variable that has the prefix and is no setting, with the nearest one that is. */
export interface UnknownVariable {
  readonly name: string;
  readonly nearest: string | null;
}

/** Every setting that the environment has under `<namespace>_<NAME>`. */
export function readEnvironment(
  env: Environment,
  namespace: string,
): SettingsSource & { readonly unknown: readonly UnknownVariable[] } {
  const prefix = namespacePrefix(namespace);
  const values = new Map<SettingName, unknown>();
  const ignored = new Set<IgnoredSetting>();
  const unknown: UnknownVariable[] = [];
  for (const [variable, text] of Object.entries(env)) {
    if (!variable.startsWith(prefix) || !text) continue;
    const key = variable.slice(prefix.length);
    if (OTHER_VARIABLES.has(key)) continue;
    const found = findSetting(key.toLowerCase()) ?? findOldSetting(variable);
    if (!found) unknown.push({ name: variable, nearest: nearestVariable(variable, namespace) });
    else if (found.kind === "ignored") ignored.add(found.setting);
    else if (!found.old || !env[namespaced(found.setting.name, namespace)]) {
      values.set(found.setting.name, checkedValue(found.setting, fromText(found.setting, text), variable));
    }
  }
  return { values, ignored: [...ignored], unknown };
}

function fromText(setting: Setting, text: string): unknown {
  const trimmed = text.trim();
  if (/^(null|none)$/i.test(trimmed) && (setting.default === null || setting.nullable)) return null;
  return setting.type.fromText(trimmed);
}
