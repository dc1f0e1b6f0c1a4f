import type { Logger } from "../base/logger.ts";
import type { Compression, RetryPolicy, SendOptions, Serializer } from "../task/send-types.ts";
import type { TaskOptions } from "../task/task-types.ts";

/** TLS; certificates are verified unless `rejectUnauthorized` is false. */
export interface TlsOptions {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly rejectUnauthorized?: boolean | undefined;
  readonly servername?: string | undefined;
}
/** A queue of `taskQueues`. */
export interface Queue {
  readonly name: string;
  /** Default: the default exchange; with `exchangeType` alone, an exchange named as the queue. */
  readonly exchange?: string | undefined;
  readonly exchangeType?: "direct" | "topic" | "fanout" | undefined;
  readonly routingKey?: string | undefined;
}
/** Where a task goes. Options given with the send, and the task's own, win over it. */
export interface Route {
  readonly queue?: string | undefined;
  readonly exchange?: string | undefined;
  /** Type of `exchange`, where no queue of the settings has it. */
  readonly exchangeType?: "direct" | "topic" | "fanout" | undefined;
  readonly routingKey?: string | undefined;
  readonly priority?: number | undefined;
  readonly serializer?: Serializer | undefined;
  readonly compression?: Compression | undefined;
  /** 1: transient, 2: persistent. */
  readonly deliveryMode?: 1 | 2 | undefined;
  readonly retry?: boolean | undefined;
  readonly retryPolicy?: RetryPolicy | undefined;
  readonly headers?: Readonly<Record<string, unknown>> | undefined;
}
/** Decides where a task goes; null or undefined: not my affair. It must answer at once. */
export type Router = (
  name: string,
  args: readonly unknown[],
  kwargs: Readonly<Record<string, unknown>>,
  options: SendOptions,
) => Route | string | null | undefined;
type RoutePair = readonly [pattern: string | RegExp, route: Route | string];
/**
 * By exact name, glob (`"media.*"`), regular expression, or function. An object is asked for the exact name first, then for
 * its globs in order; in an array the first element that answers wins. A string is a queue's name.
 */
export type Routes =
  | Readonly<Record<string, Route | string>>
  | readonly (RoutePair | readonly RoutePair[] | Readonly<Record<string, Route | string>> | Router)[]
  | Router;

/** Celery's settings in camelCase. Unknown names are an error here and at run time. */
export interface Settings {
  /** `accept_content`. Default: ["json"]. */
  readonly acceptContent?: readonly string[] | undefined;
  /** `beat_cron_starting_deadline`. Seconds. Default: null. */
  readonly beatCronStartingDeadline?: number | null | undefined;
  /** `beat_max_loop_interval`. Seconds. Default: 0. */
  readonly beatMaxLoopInterval?: number | undefined;
  /** `beat_schedule`. Default: {}. */
  readonly beatSchedule?: Readonly<Record<string, object>> | undefined;
  /** `beat_schedule_filename`. Default: "celerybeat-schedule". */
  readonly beatScheduleFilename?: string | undefined;
  /** `beat_scheduler`. Default: "celery.beat:PersistentScheduler". */
  readonly beatScheduler?: string | undefined;
  /** `beat_sync_every`. Default: 0. */
  readonly beatSyncEvery?: number | undefined;
  /** . */
  readonly beatExecutable?: string | null | undefined;
  /** . */
  readonly beatGid?: string | number | null | undefined;
  /** . */
  readonly beatLogfile?: string | null | undefined;
  /** . */
  readonly beatPidfile?: string | null | undefined;
  /** . */
  readonly beatUid?: string | number | null | undefined;
  /** . */
  readonly beatUmask?: string | number | null | undefined;
  /** `broker_channel_error_retry`. Default: false. */
  readonly brokerChannelErrorRetry?: boolean | undefined;
  /** `broker_connection_max_retries`. Default: 100. */
  readonly brokerConnectionMaxRetries?: number | null | undefined;
  /** `broker_connection_retry`. Default: true. */
  readonly brokerConnectionRetry?: boolean | undefined;
  /** `broker_connection_retry_on_startup`. Default: null. */
  readonly brokerConnectionRetryOnStartup?: boolean | null | undefined;
  /** `broker_connection_timeout`. Seconds. Default: 4. */
  readonly brokerConnectionTimeout?: number | undefined;
  /** `broker_failover_strategy`. Default: null. */
  readonly brokerFailoverStrategy?: string | null | undefined;
  /** `broker_host`. Default: null. */
  readonly brokerHost?: string | null | undefined;
  /** `broker_password`. Default: null. */
  readonly brokerPassword?: string | null | undefined;
  /** . */
  readonly brokerPoolAcquireTimeout?: number | null | undefined;
  /** `broker_pool_limit`. Default: 10. */
  readonly brokerPoolLimit?: number | null | undefined;
  /** `broker_port`. Default: null. */
  readonly brokerPort?: number | null | undefined;
  /** `broker_read_url`. Default: null. */
  readonly brokerReadUrl?: string | readonly string[] | null | undefined;
  /** `broker_transport`. Default: null. */
  readonly brokerTransport?: string | null | undefined;
  /** `broker_transport_options`. Default: {}. */
  readonly brokerTransportOptions?: Readonly<Record<string, unknown>> | undefined;
  /** `broker_url`. Default: null. */
  readonly brokerUrl?: string | readonly string[] | null | undefined;
  /** `broker_use_ssl`. Default: false. */
  readonly brokerUseSsl?: boolean | TlsOptions | undefined;
  /** `broker_user`. Default: null. */
  readonly brokerUser?: string | null | undefined;
  /** `broker_vhost`. Default: null. */
  readonly brokerVhost?: string | null | undefined;
  /** `broker_write_url`. Default: null. */
  readonly brokerWriteUrl?: string | readonly string[] | null | undefined;
  /** `cache_backend`. Default: null. */
  readonly cacheBackend?: string | null | undefined;
  /** `cache_backend_options`. Default: {}. */
  readonly cacheBackendOptions?: Readonly<Record<string, unknown>> | undefined;
  /** `control_exchange`. Default: "celery". */
  readonly controlExchange?: string | undefined;
  /** `control_queue_durable`. Default: false. */
  readonly controlQueueDurable?: boolean | undefined;
  /** `control_queue_exclusive`. Default: false. */
  readonly controlQueueExclusive?: boolean | undefined;
  /** `control_queue_expires`. Seconds. Default: 10.0. */
  readonly controlQueueExpires?: number | undefined;
  /** `control_queue_ttl`. Seconds. Default: 300.0. */
  readonly controlQueueTtl?: number | undefined;
  /** `database_create_tables_at_setup`. Default: true. */
  readonly databaseCreateTablesAtSetup?: boolean | undefined;
  /** . */
  readonly databaseEngineCallback?: string | null | undefined;
  /** `database_engine_options`. Default: {pool_pre_ping: True, pool_recycle: 3600}. */
  readonly databaseEngineOptions?: Readonly<Record<string, unknown>> | null | undefined;
  /** `database_short_lived_sessions`. Default: false. */
  readonly databaseShortLivedSessions?: boolean | undefined;
  /** `database_table_names`. Default: null. */
  readonly databaseTableNames?: Readonly<Record<string, string>> | null | undefined;
  /** `database_table_schemas`. Default: null. */
  readonly databaseTableSchemas?: Readonly<Record<string, string>> | null | undefined;
  /** `database_url`. Default: null. */
  readonly databaseUrl?: string | null | undefined;
  /** `enable_utc`. Default: true. */
  readonly enableUtc?: boolean | undefined;
  /** `event_exchange`. Default: "celeryev". */
  readonly eventExchange?: string | undefined;
  /** `event_queue_durable`. Default: false. */
  readonly eventQueueDurable?: boolean | undefined;
  /** `event_queue_exclusive`. Default: false. */
  readonly eventQueueExclusive?: boolean | undefined;
  /** `event_queue_expires`. Seconds. Default: 60.0. */
  readonly eventQueueExpires?: number | undefined;
  /** `event_queue_prefix`. Default: "celeryev". */
  readonly eventQueuePrefix?: string | undefined;
  /** `event_queue_ttl`. Seconds. Default: 5.0. */
  readonly eventQueueTtl?: number | undefined;
  /** `event_serializer`. Default: "json". */
  readonly eventSerializer?: Serializer | undefined;
  /** . */
  readonly eventsExecutable?: string | null | undefined;
  /** . */
  readonly eventsGid?: string | number | null | undefined;
  /** . */
  readonly eventsLogfile?: string | null | undefined;
  /** . */
  readonly eventsPidfile?: string | null | undefined;
  /** . */
  readonly eventsUid?: string | number | null | undefined;
  /** . */
  readonly eventsUmask?: string | number | null | undefined;
  /** `imports`. Default: (). */
  readonly imports?: readonly string[] | undefined;
  /** `include`. Default: (). */
  readonly include?: readonly string[] | undefined;
  /** `redis_backend_use_ssl`. Default: null. */
  readonly redisBackendUseSsl?: boolean | TlsOptions | null | undefined;
  /** `redis_db`. Default: null. */
  readonly redisDb?: number | null | undefined;
  /** `redis_host`. Default: null. */
  readonly redisHost?: string | null | undefined;
  /** `redis_max_connections`. Default: null. */
  readonly redisMaxConnections?: number | null | undefined;
  /** `redis_password`. Default: null. */
  readonly redisPassword?: string | null | undefined;
  /** `redis_port`. Default: null. */
  readonly redisPort?: number | null | undefined;
  /** `redis_retry_on_timeout`. Default: false. */
  readonly redisRetryOnTimeout?: boolean | undefined;
  /** `redis_socket_connect_timeout`. Seconds. Default: null. */
  readonly redisSocketConnectTimeout?: number | null | undefined;
  /** `redis_socket_keepalive`. Default: false. */
  readonly redisSocketKeepalive?: boolean | undefined;
  /** `redis_socket_timeout`. Seconds. Default: 120.0. */
  readonly redisSocketTimeout?: number | null | undefined;
  /** `redis_username`. Default: null. */
  readonly redisUsername?: string | null | undefined;
  /** `result_accept_content`. Default: null. */
  readonly resultAcceptContent?: readonly string[] | null | undefined;
  /** `result_backend`. Default: null. */
  readonly resultBackend?: string | null | undefined;
  /** `result_backend_always_retry`. Default: false. */
  readonly resultBackendAlwaysRetry?: boolean | undefined;
  /** `result_backend_base_sleep_between_retries_ms`. Default: 10. */
  readonly resultBackendBaseSleepBetweenRetriesMs?: number | undefined;
  /** `result_backend_max_retries`. Default: Infinity. */
  readonly resultBackendMaxRetries?: number | undefined;
  /** `result_backend_max_sleep_between_retries_ms`. Default: 10000. */
  readonly resultBackendMaxSleepBetweenRetriesMs?: number | undefined;
  /** `result_backend_transport_options`. Default: {}. */
  readonly resultBackendTransportOptions?: Readonly<Record<string, unknown>> | undefined;
  /** `result_cache_max`. Default: -1. */
  readonly resultCacheMax?: number | undefined;
  /** `result_chord_join_timeout`. Seconds. Default: 3.0. */
  readonly resultChordJoinTimeout?: number | undefined;
  /** `result_chord_retry_interval`. Seconds. Default: 1.0. */
  readonly resultChordRetryInterval?: number | undefined;
  /** `result_compression`. Default: null. */
  readonly resultCompression?: Compression | null | undefined;
  /** `result_expires`. Seconds; 0 or null keeps results for ever. Default: 86400. */
  readonly resultExpires?: number | null | undefined;
  /** `result_extended`. Default: false. */
  readonly resultExtended?: boolean | undefined;
  /** `result_serializer`. Default: "json". */
  readonly resultSerializer?: Serializer | undefined;
  /** `security_cert_store`. Default: null. */
  readonly securityCertStore?: string | null | undefined;
  /** `security_certificate`. Default: null. */
  readonly securityCertificate?: string | null | undefined;
  /** `security_digest`. Default: "sha256". */
  readonly securityDigest?: string | undefined;
  /** `security_key`. Default: null. */
  readonly securityKey?: string | null | undefined;
  /** `security_key_password`. Default: null. */
  readonly securityKeyPassword?: string | null | undefined;
  /** `task_acks_late`. Default: false. */
  readonly taskAcksLate?: boolean | undefined;
  /** . */
  readonly taskAcksOnFailure?: boolean | null | undefined;
  /** `task_acks_on_failure_or_timeout`. Default: true. */
  readonly taskAcksOnFailureOrTimeout?: boolean | undefined;
  /** . */
  readonly taskAcksOnTimeout?: boolean | null | undefined;
  /** `task_allow_error_cb_on_chord_header`. Default: false. */
  readonly taskAllowErrorCbOnChordHeader?: boolean | undefined;
  /** `task_always_eager`. Default: false. */
  readonly taskAlwaysEager?: boolean | undefined;
  /** `task_annotations`. Default: null. */
  readonly taskAnnotations?: Readonly<Record<string, TaskOptions>> | null | undefined;
  /** `task_compression`. Default: null. */
  readonly taskCompression?: Compression | null | undefined;
  /** `task_create_missing_queue_exchange_type`. Default: null. */
  readonly taskCreateMissingQueueExchangeType?: "direct" | "topic" | "fanout" | null | undefined;
  /** `task_create_missing_queues`. Default: true. */
  readonly taskCreateMissingQueues?: boolean | undefined;
  /** `task_default_delivery_mode`. Default: 2. */
  readonly taskDefaultDeliveryMode?: 1 | 2 | undefined;
  /** `task_default_exchange`. Default: null. */
  readonly taskDefaultExchange?: string | null | undefined;
  /** `task_default_exchange_type`. Default: "direct". */
  readonly taskDefaultExchangeType?: "direct" | "topic" | "fanout" | undefined;
  /** `task_default_priority`. Default: null. */
  readonly taskDefaultPriority?: number | null | undefined;
  /** `task_default_queue`. Default: "celery". */
  readonly taskDefaultQueue?: string | undefined;
  /** `task_default_rate_limit`. Default: null. */
  readonly taskDefaultRateLimit?: string | number | null | undefined;
  /** `task_default_routing_key`. Default: null. */
  readonly taskDefaultRoutingKey?: string | null | undefined;
  /** `task_eager_propagates`. Default: false. */
  readonly taskEagerPropagates?: boolean | undefined;
  /** `task_ignore_result`. Default: false. */
  readonly taskIgnoreResult?: boolean | undefined;
  /** `task_inherit_parent_priority`. Default: false. */
  readonly taskInheritParentPriority?: boolean | undefined;
  /** `task_protocol`. Default: 2. */
  readonly taskProtocol?: 1 | 2 | undefined;
  /** `task_publish_retry`. Default: true. */
  readonly taskPublishRetry?: boolean | undefined;
  /** `task_publish_retry_policy`. Default: {max_retries 3, interval_start 0, interval_max 1, interval_step 0.2}. */
  readonly taskPublishRetryPolicy?: RetryPolicy | undefined;
  /** `task_queues`. Default: null. */
  readonly taskQueues?: readonly Queue[] | Readonly<Record<string, Omit<Queue, "name">>> | null | undefined;
  /** `task_reject_on_worker_lost`. Default: null. */
  readonly taskRejectOnWorkerLost?: boolean | null | undefined;
  /** `task_remote_tracebacks`. Default: false. */
  readonly taskRemoteTracebacks?: boolean | undefined;
  /** `task_routes`. Default: null. */
  readonly taskRoutes?: Routes | null | undefined;
  /** `task_send_sent_event`. Default: false. */
  readonly taskSendSentEvent?: boolean | undefined;
  /** `task_serializer`. Default: "json". */
  readonly taskSerializer?: Serializer | undefined;
  /** `task_soft_time_limit`. Seconds. Default: null. */
  readonly taskSoftTimeLimit?: number | null | undefined;
  /** `task_store_eager_result`. Default: false. */
  readonly taskStoreEagerResult?: boolean | undefined;
  /** `task_store_errors_even_if_ignored`. Default: false. */
  readonly taskStoreErrorsEvenIfIgnored?: boolean | undefined;
  /** `task_time_limit`. Seconds. Default: null. */
  readonly taskTimeLimit?: number | null | undefined;
  /** `task_track_started`. Default: false. */
  readonly taskTrackStarted?: boolean | undefined;
  /** `timezone`. Default: null. */
  readonly timezone?: string | null | undefined;
  /** `worker_autoscaler`. Default: "celery.worker.autoscale:Autoscaler". */
  readonly workerAutoscaler?: string | undefined;
  /** `worker_cancel_long_running_tasks_on_connection_loss`. Default: false. */
  readonly workerCancelLongRunningTasksOnConnectionLoss?: boolean | undefined;
  /** `worker_concurrency`. Default: null. */
  readonly workerConcurrency?: number | null | undefined;
  /** `worker_consumer`. Default: "celery.worker.consumer:Consumer". */
  readonly workerConsumer?: string | undefined;
  /** `worker_deduplicate_successful_tasks`. Default: false. */
  readonly workerDeduplicateSuccessfulTasks?: boolean | undefined;
  /** `worker_direct`. Default: false. */
  readonly workerDirect?: boolean | undefined;
  /** `worker_disable_prefetch`. Default: false. */
  readonly workerDisablePrefetch?: boolean | undefined;
  /** `worker_disable_rate_limits`. Default: false. */
  readonly workerDisableRateLimits?: boolean | undefined;
  /** `worker_enable_prefetch_count_reduction`. Default: true. */
  readonly workerEnablePrefetchCountReduction?: boolean | undefined;
  /** `worker_enable_remote_control`. Default: true. */
  readonly workerEnableRemoteControl?: boolean | undefined;
  /** `worker_enable_soft_shutdown_on_idle`. Default: false. */
  readonly workerEnableSoftShutdownOnIdle?: boolean | undefined;
  /** `worker_eta_task_limit`. Default: null. */
  readonly workerEtaTaskLimit?: number | null | undefined;
  /** `worker_hijack_root_logger`. Default: true. */
  readonly workerHijackRootLogger?: boolean | undefined;
  /** `worker_log_color`. Default: null. */
  readonly workerLogColor?: boolean | null | undefined;
  /** `worker_log_format`. Default: "[%(asctime)s: %(levelname)s/%(processName)s] %(message)s". */
  readonly workerLogFormat?: string | undefined;
  /** `worker_lost_wait`. Seconds. Default: 10.0. */
  readonly workerLostWait?: number | undefined;
  /** `worker_max_memory_per_child`. Default: null. */
  readonly workerMaxMemoryPerChild?: number | null | undefined;
  /** `worker_max_tasks_per_child`. Default: null. */
  readonly workerMaxTasksPerChild?: number | null | undefined;
  /** `worker_pool`. Default: "prefork". */
  readonly workerPool?: "prefork" | "threads" | "async" | "solo" | (string & {}) | undefined;
  /** `worker_pool_restarts`. Default: false. */
  readonly workerPoolRestarts?: boolean | undefined;
  /** `worker_prefetch_multiplier`. Default: 4. */
  readonly workerPrefetchMultiplier?: number | undefined;
  /** `worker_proc_alive_timeout`. Seconds. Default: 4.0. */
  readonly workerProcAliveTimeout?: number | undefined;
  /** `worker_redirect_stdouts`. Default: true. */
  readonly workerRedirectStdouts?: boolean | undefined;
  /** `worker_redirect_stdouts_level`. Default: "WARNING". */
  readonly workerRedirectStdoutsLevel?: "DEBUG" | "INFO" | "WARNING" | "ERROR" | "CRITICAL" | undefined;
  /** `worker_send_task_events`. Default: false. */
  readonly workerSendTaskEvents?: boolean | undefined;
  /** `worker_soft_shutdown_timeout`. Seconds. Default: 0.0. */
  readonly workerSoftShutdownTimeout?: number | undefined;
  /** `worker_state_db`. Default: null. */
  readonly workerStateDb?: string | null | undefined;
  /** `worker_task_log_format`. Default: "[%(asctime)s: %(levelname)s/%(processName)s] %(task_name)s[%(task_id)s]: %(message)s". */
  readonly workerTaskLogFormat?: string | undefined;
  /** `worker_timer`. Default: null. */
  readonly workerTimer?: string | null | undefined;
  /** `worker_timer_precision`. Seconds. Default: 1.0. */
  readonly workerTimerPrecision?: number | undefined;
  /** . */
  readonly workerExecutable?: string | null | undefined;
  /** . */
  readonly workerGid?: string | number | null | undefined;
  /** . */
  readonly workerLogfile?: string | null | undefined;
  /** . */
  readonly workerPidfile?: string | null | undefined;
  /** . */
  readonly workerUid?: string | number | null | undefined;
  /** . */
  readonly workerUmask?: string | number | null | undefined;
  /** `redis_backend_health_check_interval`. Default: not set. */
  readonly redisBackendHealthCheckInterval?: number | null | undefined;
  /** `redis_client_name`. Default: null. */
  readonly redisClientName?: string | null | undefined;
  /** `redis_backend_credential_provider`. Default: disabled. */
  readonly redisBackendCredentialProvider?: string | null | undefined;
  /** `override_backends`. Default: disabled. */
  readonly overrideBackends?: Readonly<Record<string, string>> | null | undefined;
  /** `redis_state_key_prefix`. Default: celery:worker:state:. */
  readonly redisStateKeyPrefix?: string | undefined;
  /** `redis_state_ttl`. Seconds. Default: null. */
  readonly redisStateTtl?: number | null | undefined;
  /** . */
  readonly redbeatKeyExpiryCheck?: "ignore" | "warn" | "error" | "raise" | null | undefined;
  /** . */
  readonly redbeatKeyPrefix?: string | undefined;
  /** . */
  readonly redbeatLockKey?: string | null | undefined;
  /** . */
  readonly redbeatLockTimeout?: number | null | undefined;
  /** . */
  readonly redbeatRedisOptions?: Readonly<Record<string, unknown>> | null | undefined;
  /** . */
  readonly redbeatRedisUrl?: string | null | undefined;
  /** . */
  readonly redbeatRedisUseSsl?: boolean | TlsOptions | null | undefined;
}

/**
 * `app.conf`: settings after defaults; null where a setting has no value. Assignable until the app is in use, afterwards
 * an assignment throws `PET_CONFIG_IN_USE`.
 */
export type Conf = { -readonly [K in keyof Settings]-?: Exclude<Settings[K], undefined> | null } & {
  /** Sets several settings. Also by Celery's names: `task_serializer`, and the old upper-case ones. */
  update(settings: Settings | Readonly<Record<string, unknown>>): void;
};

/** Options of {@link Celery}: its settings, and what only an app has. */
export interface CeleryOptions extends Settings {
  readonly logger?: Logger | undefined;
}
