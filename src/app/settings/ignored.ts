/**
 * Celery's settings that mean nothing here: of RabbitMQ, of Python's processes, of result backends that do not exist here.
 * They are accepted so that a configuration can be shared with Python, and named in one warning at start-up.
 */

/** Why a group of settings is ignored, and its names with their old upper-case names (null: upper case of the name). */
interface Group {
  readonly reason: string;
  readonly names: Readonly<Record<string, string | null>>;
}

const backend = (title: string, prefix: string, keys: string): Group => ({
  reason: `there is no ${title} result backend`,
  names: Object.fromEntries(keys.split(" ").map((key) => [`${prefix}_${key}`, null])),
});

export const IGNORED_GROUPS: readonly Group[] = [
  {
    reason: "concerns AMQP brokers only",
    names: {
      broker_heartbeat: null,
      broker_heartbeat_checkrate: null,
      broker_login_method: null,
      broker_native_delayed_delivery_queue_type: null,
      result_exchange: "CELERY_RESULT_EXCHANGE",
      result_exchange_type: "CELERY_RESULT_EXCHANGE_TYPE",
      result_persistent: "CELERY_RESULT_PERSISTENT",
      task_create_missing_queue_type: "CELERY_CREATE_MISSING_QUEUE_TYPE",
      task_default_queue_type: "CELERY_DEFAULT_QUEUE_TYPE",
      task_queue_max_priority: "CELERY_QUEUE_MAX_PRIORITY",
      worker_detect_quorum_queues: "CELERYD_DETECT_QUORUM_QUEUES",
    },
  },
  {
    reason: "concerns Python's processes and threads only",
    names: {
      worker_agent: "CELERYD_AGENT",
      worker_pool_putlocks: "CELERYD_POOL_PUTLOCKS",
      result_backend_thread_safe: null,
    },
  },
  {
    reason: "there is no such result backend",
    names: {
      arangodb_backend_settings: "CELERY_ARANGODB_BACKEND_SETTINGS",
      couchbase_backend_settings: "CELERY_COUCHBASE_BACKEND_SETTINGS",
      mongodb_backend_settings: "CELERY_MONGODB_BACKEND_SETTINGS",
      elasticsearch_max_retries: "CELERY_ELASTICSEARCH_MAX_RETRIES",
      elasticsearch_retry_on_timeout: "CELERY_ELASTICSEARCH_RETRY_ON_TIMEOUT",
      elasticsearch_save_meta_as_text: "CELERY_ELASTICSEARCH_SAVE_META_AS_TEXT",
      elasticsearch_timeout: "CELERY_ELASTICSEARCH_TIMEOUT",
    },
  },
  backend(
    "Azure block blob",
    "azureblockblob",
    "base_path connection_timeout container_name read_timeout retry_increment_base retry_initial_backoff_sec retry_max_attempts",
  ),
  backend(
    "Cassandra",
    "cassandra",
    "auth_kwargs auth_provider bundle_path entry_ttl keyspace options port read_consistency servers table write_consistency",
  ),
  backend(
    "Cosmos DB",
    "cosmosdbsql",
    "collection_name consistency_level database_name max_retry_attempts max_retry_wait_time",
  ),
  backend("Google Cloud Storage", "gcs", "base_path bucket project ttl"),
  backend("S3", "s3", "access_key_id base_path bucket endpoint_url region secret_access_key"),
];

/** One ignored setting. */
export interface IgnoredSetting {
  /** Celery's name. */
  readonly python: string;
  readonly old: string;
  readonly reason: string;
}

/** By Celery's name. */
export const IGNORED: ReadonlyMap<string, IgnoredSetting> = new Map(
  IGNORED_GROUPS.flatMap(({ reason, names }) =>
    Object.entries(names).map(([python, old]) => [
      python,
      { python, old: old ?? python.toUpperCase(), reason },
    ]),
  ),
);
