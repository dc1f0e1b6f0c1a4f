import type { Logger } from "../base/logger.ts";
import type { Compression, RetryPolicy, SendOptions, Serializer } from "../task/send-types.ts";
import type { TaskOptions } from "../task/task-types.ts";
import type { BeatEntry } from "./periodic.ts";

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
  /**
   * Serializers or content types that are accepted in messages; others are refused. pickle is never accepted.
   * `accept_content`. Default: ["json"].
   */
  readonly acceptContent?: readonly string[] | undefined;
  /**
   * A crontab run that was missed by more than this is skipped.
   * `beat_cron_starting_deadline`, seconds. Default: null.
   */
  readonly beatCronStartingDeadline?: number | null | undefined;
  /**
   * Longest sleep between two looks at the schedule. 0: the scheduler's own.
   * `beat_max_loop_interval`, seconds. Default: 0.
   */
  readonly beatMaxLoopInterval?: number | undefined;
  /**
   * Periodic tasks under their names: `{ task, schedule, args, kwargs, options }`.
   * `beat_schedule`. Default: {}.
   */
  readonly beatSchedule?: Readonly<Record<string, BeatEntry>> | undefined;
  /**
   * File of the file scheduler; of the scheduler `sqlite` a URL `sqlite:///path/to/file.db`.
   * `beat_schedule_filename`. Default: "celerybeat-schedule".
   */
  readonly beatScheduleFilename?: string | undefined;
  /**
   * Where it is kept what has run: `celery.beat:PersistentScheduler` in a file, `redbeat.RedBeatScheduler` in Redis with the entries themselves, `sqlite` in the SQLite file of the broker, `celery.beat:Scheduler` nowhere. That of django-celery-beat is refused by name.
   * `beat_scheduler`. Default: "celery.beat:PersistentScheduler".
   */
  readonly beatScheduler?: string | undefined;
  /**
   * Save the schedule after this many sent tasks. 0: within a second.
   * `beat_sync_every`, tasks. Default: 0.
   */
  readonly beatSyncEvery?: number | undefined;
  /** Node executable of a beat daemon. `beat_executable`. Default: null. */
  readonly beatExecutable?: string | null | undefined;
  /** Group of a beat daemon, name or number. `beat_gid`. Default: null. */
  readonly beatGid?: string | number | null | undefined;
  /** Log file of a beat daemon. `beat_logfile`. Default: null. */
  readonly beatLogfile?: string | null | undefined;
  /** File for the process id of a beat daemon. `beat_pidfile`. Default: null. */
  readonly beatPidfile?: string | null | undefined;
  /** User of a beat daemon, name or number. `beat_uid`. Default: null. */
  readonly beatUid?: string | number | null | undefined;
  /** File mode mask of a beat daemon. `beat_umask`. Default: null. */
  readonly beatUmask?: string | number | null | undefined;
  /**
   * Start the consumer again after an error that concerns one channel only.
   * `broker_channel_error_retry`. Default: false.
   */
  readonly brokerChannelErrorRetry?: boolean | undefined;
  /**
   * Attempts to connect before a worker gives up. null or 0: no end.
   * `broker_connection_max_retries`, attempts. Default: 100.
   */
  readonly brokerConnectionMaxRetries?: number | null | undefined;
  /** Connect again when the connection to the broker is lost. `broker_connection_retry`. Default: true. */
  readonly brokerConnectionRetry?: boolean | undefined;
  /**
   * Try again when the broker is away at start-up. Default: brokerConnectionRetry.
   * `broker_connection_retry_on_startup`. Default: null.
   */
  readonly brokerConnectionRetryOnStartup?: boolean | null | undefined;
  /** Time for one attempt to connect to the broker. `broker_connection_timeout`, seconds. Default: 4. */
  readonly brokerConnectionTimeout?: number | undefined;
  /**
   * Order in which several broker URLs are tried: "round-robin" or "shuffle".
   * `broker_failover_strategy`. Default: null.
   */
  readonly brokerFailoverStrategy?: string | null | undefined;
  /**
   * Host of the broker, or its URL. Used with the other parts of an old-style broker URL when brokerUrl is not set.
   * `broker_host`. Default: null.
   */
  readonly brokerHost?: string | null | undefined;
  /**
   * Password at the broker. Used with the other parts of an old-style broker URL when brokerUrl is not set.
   * `broker_password`. Default: null.
   */
  readonly brokerPassword?: string | null | undefined;
  /**
   * Time to wait for a free connection of the pool.
   * `broker_pool_acquire_timeout`, seconds. Default: null.
   */
  readonly brokerPoolAcquireTimeout?: number | null | undefined;
  /**
   * Connections for sending at most. One is enough here: sends share it.
   * `broker_pool_limit`, connections. Default: 10.
   */
  readonly brokerPoolLimit?: number | null | undefined;
  /**
   * Port of the broker. Used with the other parts of an old-style broker URL when brokerUrl is not set.
   * `broker_port`. Default: null.
   */
  readonly brokerPort?: number | null | undefined;
  /**
   * URL of the broker for consuming, where it is another one than for sending. Default: brokerUrl.
   * `broker_read_url`. Default: null.
   */
  readonly brokerReadUrl?: string | readonly string[] | null | undefined;
  /**
   * Scheme of the broker URL. Used with the other parts of an old-style broker URL when brokerUrl is not set.
   * `broker_transport`. Default: null.
   */
  readonly brokerTransport?: string | null | undefined;
  /**
   * Options of the broker's transport, such as `visibility_timeout`, `priority_steps`, `sep`, `queue_order_strategy`, `global_keyprefix`.
   * `broker_transport_options`. Default: {}.
   */
  readonly brokerTransportOptions?: Readonly<Record<string, unknown>> | undefined;
  /**
   * URL of the broker: `redis://host:6379/0`. Several, as an array or with `;` between them, are tried in turn.
   * `broker_url`. Default: null.
   */
  readonly brokerUrl?: string | readonly string[] | null | undefined;
  /**
   * TLS to the broker: true, or Node's TLS options. Certificates are verified unless `rejectUnauthorized` is false.
   * `broker_use_ssl`. Default: false.
   */
  readonly brokerUseSsl?: boolean | TlsOptions | undefined;
  /**
   * User at the broker. Used with the other parts of an old-style broker URL when brokerUrl is not set.
   * `broker_user`. Default: null.
   */
  readonly brokerUser?: string | null | undefined;
  /**
   * Virtual host, on Redis the number of the database. Used with the other parts of an old-style broker URL when brokerUrl is not set.
   * `broker_vhost`. Default: null.
   */
  readonly brokerVhost?: string | null | undefined;
  /**
   * URL of the broker for sending, where it is another one than for consuming. Default: brokerUrl.
   * `broker_write_url`. Default: null.
   */
  readonly brokerWriteUrl?: string | readonly string[] | null | undefined;
  /** URL of the cache that holds results, when resultBackend is `cache`. `cache_backend`. Default: null. */
  readonly cacheBackend?: string | null | undefined;
  /** Options of that cache. `cache_backend_options`. Default: {}. */
  readonly cacheBackendOptions?: Readonly<Record<string, unknown>> | undefined;
  /**
   * Base name of the exchanges of remote control: `<name>.pidbox` and `reply.<name>.pidbox`.
   * `control_exchange`. Default: "celery".
   */
  readonly controlExchange?: string | undefined;
  /** Whether the queues of remote control are durable. `control_queue_durable`. Default: false. */
  readonly controlQueueDurable?: boolean | undefined;
  /** Whether the queues of remote control are exclusive. `control_queue_exclusive`. Default: false. */
  readonly controlQueueExclusive?: boolean | undefined;
  /**
   * Replies that nobody has taken out are deleted after this time, at the earliest when nobody waits for them.
   * `control_queue_expires`, seconds. Default: 10.
   */
  readonly controlQueueExpires?: number | undefined;
  /** A message of remote control is dropped after this time. `control_queue_ttl`, seconds. Default: 300. */
  readonly controlQueueTtl?: number | undefined;
  /** Create missing tables at start-up. `database_create_tables_at_setup`. Default: true. */
  readonly databaseCreateTablesAtSetup?: boolean | undefined;
  /** Module that changes the connection pool after it was made. `database_engine_callback`. Default: null. */
  readonly databaseEngineCallback?: string | null | undefined;
  /**
   * Options of its connection pool.
   * `database_engine_options`. Default: {"pool_pre_ping": true, "pool_recycle": 3600}.
   */
  readonly databaseEngineOptions?: Readonly<Record<string, unknown>> | null | undefined;
  /** A connection for each operation. `database_short_lived_sessions`. Default: false. */
  readonly databaseShortLivedSessions?: boolean | undefined;
  /** Names of its tables: `task`, `group`. `database_table_names`. Default: null. */
  readonly databaseTableNames?: Readonly<Record<string, string>> | null | undefined;
  /** Schemas of its tables: `task`, `group`. `database_table_schemas`. Default: null. */
  readonly databaseTableSchemas?: Readonly<Record<string, string>> | null | undefined;
  /**
   * URL of the database that holds results, when resultBackend is `django-db` or `database`: postgresql://user:password@host/name, mysql://…, sqlite:///path.
   * `database_url`. Default: null.
   */
  readonly databaseUrl?: string | null | undefined;
  /** Dates and times in messages are UTC. `enable_utc`. Default: true. */
  readonly enableUtc?: boolean | undefined;
  /** Exchange of events. `event_exchange`. Default: "celeryev". */
  readonly eventExchange?: string | undefined;
  /** Whether the queues of event receivers are durable. `event_queue_durable`. Default: false. */
  readonly eventQueueDurable?: boolean | undefined;
  /** Whether the queues of event receivers are exclusive. `event_queue_exclusive`. Default: false. */
  readonly eventQueueExclusive?: boolean | undefined;
  /**
   * An unused queue of an event receiver is deleted after this time.
   * `event_queue_expires`, seconds. Default: 60.
   */
  readonly eventQueueExpires?: number | undefined;
  /** Begins the names of event receivers' queues. `event_queue_prefix`. Default: "celeryev". */
  readonly eventQueuePrefix?: string | undefined;
  /** An event is dropped after this time. `event_queue_ttl`, seconds. Default: 5. */
  readonly eventQueueTtl?: number | undefined;
  /** Serializer of events. `event_serializer`. Default: "json". */
  readonly eventSerializer?: Serializer | undefined;
  /** Node executable of a events daemon. `events_executable`. Default: null. */
  readonly eventsExecutable?: string | null | undefined;
  /** Group of a events daemon, name or number. `events_gid`. Default: null. */
  readonly eventsGid?: string | number | null | undefined;
  /** Log file of a events daemon. `events_logfile`. Default: null. */
  readonly eventsLogfile?: string | null | undefined;
  /** File for the process id of a events daemon. `events_pidfile`. Default: null. */
  readonly eventsPidfile?: string | null | undefined;
  /** User of a events daemon, name or number. `events_uid`. Default: null. */
  readonly eventsUid?: string | number | null | undefined;
  /** File mode mask of a events daemon. `events_umask`. Default: null. */
  readonly eventsUmask?: string | number | null | undefined;
  /**
   * Modules to import when a worker starts: paths relative to the current directory, or packages.
   * `imports`. Default: [].
   */
  readonly imports?: readonly string[] | undefined;
  /** As imports, and imported after them. `include`. Default: []. */
  readonly include?: readonly string[] | undefined;
  /**
   * TLS to the Redis that holds results: true, or Node's TLS options.
   * `redis_backend_use_ssl`. Default: null.
   */
  readonly redisBackendUseSsl?: boolean | TlsOptions | null | undefined;
  /** Its database. Used when resultBackend is `redis`, without a URL. `redis_db`. Default: null. */
  readonly redisDb?: number | null | undefined;
  /**
   * Host of the Redis that holds results. Used when resultBackend is `redis`, without a URL.
   * `redis_host`. Default: null.
   */
  readonly redisHost?: string | null | undefined;
  /**
   * Connections to it at most. One is enough here: operations share it.
   * `redis_max_connections`, connections. Default: null.
   */
  readonly redisMaxConnections?: number | null | undefined;
  /** Its password. Used when resultBackend is `redis`, without a URL. `redis_password`. Default: null. */
  readonly redisPassword?: string | null | undefined;
  /** Its port. Used when resultBackend is `redis`, without a URL. `redis_port`. Default: null. */
  readonly redisPort?: number | null | undefined;
  /** Try an operation again when it ran into its time limit. `redis_retry_on_timeout`. Default: false. */
  readonly redisRetryOnTimeout?: boolean | undefined;
  /** Time for one attempt to connect to it. `redis_socket_connect_timeout`, seconds. Default: null. */
  readonly redisSocketConnectTimeout?: number | null | undefined;
  /** TCP keep-alive on the connection to it. `redis_socket_keepalive`. Default: false. */
  readonly redisSocketKeepalive?: boolean | undefined;
  /** Time for one operation. `redis_socket_timeout`, seconds. Default: 120. */
  readonly redisSocketTimeout?: number | null | undefined;
  /** Its user. Used when resultBackend is `redis`, without a URL. `redis_username`. Default: null. */
  readonly redisUsername?: string | null | undefined;
  /**
   * Serializers or content types that are accepted in results. Default: acceptContent.
   * `result_accept_content`. Default: null.
   */
  readonly resultAcceptContent?: readonly string[] | null | undefined;
  /**
   * Where results are stored: `redis://host:6379/1`. null or `disabled://`: nowhere.
   * `result_backend`. Default: null.
   */
  readonly resultBackend?: string | null | undefined;
  /**
   * Try operations of the result backend again after errors that may pass.
   * `result_backend_always_retry`. Default: false.
   */
  readonly resultBackendAlwaysRetry?: boolean | undefined;
  /**
   * First pause between two attempts at the result backend; doubles.
   * `result_backend_base_sleep_between_retries_ms`. Default: 10.
   */
  readonly resultBackendBaseSleepBetweenRetriesMs?: number | undefined;
  /**
   * Further attempts at the result backend at most.
   * `result_backend_max_retries`, attempts. Default: Infinity.
   */
  readonly resultBackendMaxRetries?: number | undefined;
  /**
   * Longest pause between two attempts at the result backend.
   * `result_backend_max_sleep_between_retries_ms`. Default: 10000.
   */
  readonly resultBackendMaxSleepBetweenRetriesMs?: number | undefined;
  /**
   * Options of the result backend, such as `global_keyprefix`, `retry_policy`.
   * `result_backend_transport_options`. Default: {}.
   */
  readonly resultBackendTransportOptions?: Readonly<Record<string, unknown>> | undefined;
  /** Results that a client remembers after reading them. -1: none. `result_cache_max`. Default: -1. */
  readonly resultCacheMax?: number | undefined;
  /** Time to collect the results of a chord's header. `result_chord_join_timeout`, seconds. Default: 3. */
  readonly resultChordJoinTimeout?: number | undefined;
  /**
   * Pause between two looks at a chord, for backends that must look.
   * `result_chord_retry_interval`, seconds. Default: 1.
   */
  readonly resultChordRetryInterval?: number | undefined;
  /**
   * Compression of stored results. Celery's Redis backend ignores it, and so do we there.
   * `result_compression`. Default: null.
   */
  readonly resultCompression?: Compression | null | undefined;
  /** Results are deleted after this time. 0 or null: never. `result_expires`, seconds. Default: 86400. */
  readonly resultExpires?: number | null | undefined;
  /** Store name, arguments, worker, retries and queue with the result. `result_extended`. Default: false. */
  readonly resultExtended?: boolean | undefined;
  /** Serializer of results. `result_serializer`. Default: "json". */
  readonly resultSerializer?: Serializer | undefined;
  /**
   * Files of the certificates that signed messages are checked with, as a glob.
   * `security_cert_store`. Default: null.
   */
  readonly securityCertStore?: string | null | undefined;
  /** File of the certificate that signs messages (serializer auth). `security_certificate`. Default: null. */
  readonly securityCertificate?: string | null | undefined;
  /** Digest of message signatures. `security_digest`. Default: "sha256". */
  readonly securityDigest?: string | undefined;
  /** File of the private key that signs messages. `security_key`. Default: null. */
  readonly securityKey?: string | null | undefined;
  /** Password of the private key. `security_key_password`. Default: null. */
  readonly securityKeyPassword?: string | null | undefined;
  /**
   * Acknowledge a message after its task ended instead of before it starts.
   * `task_acks_late`. Default: false.
   */
  readonly taskAcksLate?: boolean | undefined;
  /** As taskAcksOnFailureOrTimeout, for failures only. `task_acks_on_failure`. Default: null. */
  readonly taskAcksOnFailure?: boolean | null | undefined;
  /**
   * With taskAcksLate: acknowledge also when the task failed or ran into its time limit.
   * `task_acks_on_failure_or_timeout`. Default: true.
   */
  readonly taskAcksOnFailureOrTimeout?: boolean | undefined;
  /** As taskAcksOnFailureOrTimeout, for time limits only. `task_acks_on_timeout`. Default: null. */
  readonly taskAcksOnTimeout?: boolean | null | undefined;
  /**
   * A chord's error callback is also one of each header task.
   * `task_allow_error_cb_on_chord_header`. Default: false.
   */
  readonly taskAllowErrorCbOnChordHeader?: boolean | undefined;
  /** Run tasks here and now instead of sending them. `task_always_eager`. Default: false. */
  readonly taskAlwaysEager?: boolean | undefined;
  /**
   * Options that override those of tasks, under their names; `"*"` is every task.
   * `task_annotations`. Default: null.
   */
  readonly taskAnnotations?: Readonly<Record<string, TaskOptions>> | null | undefined;
  /** Compression of messages: gzip, brotli. `task_compression`. Default: null. */
  readonly taskCompression?: Compression | null | undefined;
  /**
   * Exchange type of queues that are made at their first use. null: direct.
   * `task_create_missing_queue_exchange_type`. Default: null.
   */
  readonly taskCreateMissingQueueExchangeType?: "direct" | "topic" | "fanout" | null | undefined;
  /**
   * A queue that is not in taskQueues is made at its first use; false: it is an error.
   * `task_create_missing_queues`. Default: true.
   */
  readonly taskCreateMissingQueues?: boolean | undefined;
  /** 1: transient, 2: persistent. Redis keeps both alike. `task_default_delivery_mode`. Default: 2. */
  readonly taskDefaultDeliveryMode?: 1 | 2 | undefined;
  /** Exchange of queues that name none. Default: taskDefaultQueue. `task_default_exchange`. Default: null. */
  readonly taskDefaultExchange?: string | null | undefined;
  /** Type of the default exchange. `task_default_exchange_type`. Default: "direct". */
  readonly taskDefaultExchangeType?: "direct" | "topic" | "fanout" | undefined;
  /**
   * Priority of messages that name none. On Redis 0 to 9, the lower number is served first.
   * `task_default_priority`. Default: null.
   */
  readonly taskDefaultPriority?: number | null | undefined;
  /** Queue of tasks that are routed nowhere else. `task_default_queue`. Default: "celery". */
  readonly taskDefaultQueue?: string | undefined;
  /**
   * Starts of one task in each worker: a number per second, or "100/m". null: no limit.
   * `task_default_rate_limit`. Default: null.
   */
  readonly taskDefaultRateLimit?: string | number | null | undefined;
  /**
   * Routing key of queues that name none. Default: taskDefaultQueue.
   * `task_default_routing_key`. Default: null.
   */
  readonly taskDefaultRoutingKey?: string | null | undefined;
  /**
   * With taskAlwaysEager: errors of a task are thrown by the call.
   * `task_eager_propagates`. Default: false.
   */
  readonly taskEagerPropagates?: boolean | undefined;
  /** Store no results. `task_ignore_result`. Default: false. */
  readonly taskIgnoreResult?: boolean | undefined;
  /** A task sent by a task gets its priority. `task_inherit_parent_priority`. Default: false. */
  readonly taskInheritParentPriority?: boolean | undefined;
  /** Version of the messages that are sent. Protocol 1 is read, not written. `task_protocol`. Default: 2. */
  readonly taskProtocol?: 1 | 2 | undefined;
  /** Try a send again while the broker is away. `task_publish_retry`. Default: true. */
  readonly taskPublishRetry?: boolean | undefined;
  /**
   * How a send is tried again: `{ maxRetries, intervalStart, intervalStep, intervalMax, timeout }`, in seconds.
   * `task_publish_retry_policy`. Default: {"maxRetries": 3, "intervalStart": 0, "intervalMax": 1, "intervalStep": 0.2}.
   */
  readonly taskPublishRetryPolicy?: RetryPolicy | undefined;
  /**
   * The queues that a worker consumes when -Q names none: `[{ name, exchange, exchangeType, routingKey }]`. null: the default queue.
   * `task_queues`. Default: null.
   */
  readonly taskQueues?: readonly Queue[] | Readonly<Record<string, Omit<Queue, "name">>> | null | undefined;
  /**
   * With taskAcksLate: a task whose process died goes back to its queue instead of failing.
   * `task_reject_on_worker_lost`. Default: null.
   */
  readonly taskRejectOnWorkerLost?: boolean | null | undefined;
  /**
   * Python's results carry tracebacks that can be raised again. Here the worker's stack is always kept as text.
   * `task_remote_tracebacks`. Default: false.
   */
  readonly taskRemoteTracebacks?: boolean | undefined;
  /**
   * Which queue a task goes to, by name, glob, regular expression or function.
   * `task_routes`. Default: null.
   */
  readonly taskRoutes?: Routes | null | undefined;
  /** Publish a `task-sent` event for each send. `task_send_sent_event`. Default: false. */
  readonly taskSendSentEvent?: boolean | undefined;
  /** Serializer of messages: json, msgpack, yaml. `task_serializer`. Default: "json". */
  readonly taskSerializer?: Serializer | undefined;
  /**
   * A task that runs longer is told so through its signal.
   * `task_soft_time_limit`, seconds. Default: null.
   */
  readonly taskSoftTimeLimit?: number | null | undefined;
  /** With taskAlwaysEager: store results too. `task_store_eager_result`. Default: false. */
  readonly taskStoreEagerResult?: boolean | undefined;
  /** Store failures even where results are ignored. `task_store_errors_even_if_ignored`. Default: false. */
  readonly taskStoreErrorsEvenIfIgnored?: boolean | undefined;
  /** A task that runs longer is stopped, with its process. `task_time_limit`, seconds. Default: null. */
  readonly taskTimeLimit?: number | null | undefined;
  /** Store the state STARTED when a task begins. `task_track_started`. Default: false. */
  readonly taskTrackStarted?: boolean | undefined;
  /**
   * Time zone of schedules and of displayed times. Without one UTC; Django's TIME_ZONE where the settings object has it.
   * `timezone`. Default: null.
   */
  readonly timezone?: string | null | undefined;
  /**
   * Module of the autoscaler; Celery's name means the built-in one.
   * `worker_autoscaler`. Default: "celery.worker.autoscale:Autoscaler".
   */
  readonly workerAutoscaler?: string | undefined;
  /**
   * End tasks of taskAcksLate when the broker is lost: they go back and run again.
   * `worker_cancel_long_running_tasks_on_connection_loss`. Default: false.
   */
  readonly workerCancelLongRunningTasksOnConnectionLoss?: boolean | undefined;
  /**
   * Tasks that run at the same time. Default: 100 in the async pool, else the number of processors.
   * `worker_concurrency`, tasks. Default: null.
   */
  readonly workerConcurrency?: number | null | undefined;
  /**
   * Module of the consumer; Celery's name means the built-in one.
   * `worker_consumer`. Default: "celery.worker.consumer:Consumer".
   */
  readonly workerConsumer?: string | undefined;
  /**
   * With taskAcksLate: a redelivered message whose task has succeeded is not run again.
   * `worker_deduplicate_successful_tasks`. Default: false.
   */
  readonly workerDeduplicateSuccessfulTasks?: boolean | undefined;
  /**
   * Each worker also has a queue of its own, `<node name>.dq2`, that `workerDirect(nodeName)` names.
   * `worker_direct`. Default: false.
   */
  readonly workerDirect?: boolean | undefined;
  /** Take a message only when a task can start at once. `worker_disable_prefetch`. Default: false. */
  readonly workerDisablePrefetch?: boolean | undefined;
  /** Ignore rate limits. `worker_disable_rate_limits`. Default: false. */
  readonly workerDisableRateLimits?: boolean | undefined;
  /**
   * After a lost connection take fewer messages in advance while old tasks still run.
   * `worker_enable_prefetch_count_reduction`. Default: true.
   */
  readonly workerEnablePrefetchCountReduction?: boolean | undefined;
  /** Answer remote control. `worker_enable_remote_control`. Default: true. */
  readonly workerEnableRemoteControl?: boolean | undefined;
  /**
   * The soft shutdown takes its whole time even while no task runs.
   * `worker_enable_soft_shutdown_on_idle`. Default: false.
   */
  readonly workerEnableSoftShutdownOnIdle?: boolean | undefined;
  /**
   * Tasks with an ETA held in memory at most. They wait in the broker here, and none is held.
   * `worker_eta_task_limit`, tasks. Default: null.
   */
  readonly workerEtaTaskLimit?: number | null | undefined;
  /**
   * Python's worker takes over the root logger. There is none in Node.
   * `worker_hijack_root_logger`. Default: true.
   */
  readonly workerHijackRootLogger?: boolean | undefined;
  /** Colours of levels in the log. Default: when it is a terminal. `worker_log_color`. Default: null. */
  readonly workerLogColor?: boolean | null | undefined;
  /**
   * Format of the worker's log lines, in Python's notation.
   * `worker_log_format`. Default: "[%(asctime)s: %(levelname)s/%(processName)s] %(message)s".
   */
  readonly workerLogFormat?: string | undefined;
  /** Time before a task whose process vanished is given up. `worker_lost_wait`, seconds. Default: 10. */
  readonly workerLostWait?: number | undefined;
  /**
   * A child process that uses more memory is replaced after its task.
   * `worker_max_memory_per_child`, KiB. Default: null.
   */
  readonly workerMaxMemoryPerChild?: number | null | undefined;
  /**
   * A child process is replaced after this many tasks.
   * `worker_max_tasks_per_child`, tasks. Default: null.
   */
  readonly workerMaxTasksPerChild?: number | null | undefined;
  /**
   * Where tasks run: `async` (this event loop), `prefork` (child processes), `threads` or `solo` (one at a time).
   * `worker_pool`. Default: "async".
   */
  readonly workerPool?: "prefork" | "threads" | "async" | "solo" | (string & {}) | undefined;
  /** Allow the remote control command pool_restart. `worker_pool_restarts`. Default: false. */
  readonly workerPoolRestarts?: boolean | undefined;
  /**
   * Messages that are held for each slot of the pool. 0: no limit. Default: 4.
   * `worker_prefetch_multiplier`. Default: null.
   */
  readonly workerPrefetchMultiplier?: number | null | undefined;
  /**
   * Time for a new child process to start: it imports the app anew, which a fork of Python's does not.
   * `worker_proc_alive_timeout`, seconds. Default: 60.
   */
  readonly workerProcAliveTimeout?: number | undefined;
  /**
   * What is printed in a worker and its children goes to the log, with the name and id of the task.
   * `worker_redirect_stdouts`. Default: false.
   */
  readonly workerRedirectStdouts?: boolean | undefined;
  /** Level of such lines. `worker_redirect_stdouts_level`. Default: "WARNING". */
  readonly workerRedirectStdoutsLevel?: "DEBUG" | "INFO" | "WARNING" | "ERROR" | "CRITICAL" | undefined;
  /** Publish events of tasks, for monitors. `worker_send_task_events`. Default: false. */
  readonly workerSendTaskEvents?: boolean | undefined;
  /**
   * SIGQUIT, the second SIGINT, a remapped SIGTERM: before the cold shutdown, time for running tasks to end. 0: none.
   * `worker_soft_shutdown_timeout`, seconds. Default: 0.
   */
  readonly workerSoftShutdownTimeout?: number | undefined;
  /**
   * Where revoked tasks are kept across restarts: a file, or a Redis URL.
   * `worker_state_db`. Default: null.
   */
  readonly workerStateDb?: string | null | undefined;
  /**
   * A revoke in a state DB on Redis reaches all workers, those that are down or new, too.
   * `worker_state_db_shared`. Default: true.
   */
  readonly workerStateDbShared?: boolean | undefined;
  /**
   * While a worker's state DB is away: `warn` runs tasks and says so, `fail` runs none, and does not start.
   * `worker_state_db_policy`. Default: "warn".
   */
  readonly workerStateDbPolicy?: "warn" | "fail" | undefined;
  /**
   * Format of log lines that a task writes, in Python's notation.
   * `worker_task_log_format`. Default: "[%(asctime)s: %(levelname)s/%(processName)s] %(task_name)s[%(task_id)s]: %(message)s".
   */
  readonly workerTaskLogFormat?: string | undefined;
  /** Module of the timer. `worker_timer`. Default: null. */
  readonly workerTimer?: string | null | undefined;
  /** Longest sleep of the timer. `worker_timer_precision`, seconds. Default: 1. */
  readonly workerTimerPrecision?: number | undefined;
  /** Node executable of a worker daemon. `worker_executable`. Default: null. */
  readonly workerExecutable?: string | null | undefined;
  /** Group of a worker daemon, name or number. `worker_gid`. Default: null. */
  readonly workerGid?: string | number | null | undefined;
  /** Log file of a worker daemon. `worker_logfile`. Default: null. */
  readonly workerLogfile?: string | null | undefined;
  /** File for the process id of a worker daemon. `worker_pidfile`. Default: null. */
  readonly workerPidfile?: string | null | undefined;
  /** User of a worker daemon, name or number. `worker_uid`. Default: null. */
  readonly workerUid?: string | number | null | undefined;
  /** File mode mask of a worker daemon. `worker_umask`. Default: null. */
  readonly workerUmask?: string | number | null | undefined;
  /**
   * An idle connection to it is probed this often.
   * `redis_backend_health_check_interval`, seconds. Default: null.
   */
  readonly redisBackendHealthCheckInterval?: number | null | undefined;
  /** Name that the connections give to the server (`CLIENT SETNAME`). `redis_client_name`. Default: null. */
  readonly redisClientName?: string | null | undefined;
  /**
   * Module that gives user and password at each connection.
   * `redis_backend_credential_provider`. Default: null.
   */
  readonly redisBackendCredentialProvider?: string | null | undefined;
  /** Modules of result backends of your own, under their URL schemes. `override_backends`. Default: null. */
  readonly overrideBackends?: Readonly<Record<string, string>> | null | undefined;
  /**
   * Redis URL of the state DB: where revoked tasks are kept, beside a file in workerStateDb.
   * `redis_statedb_url`. Default: null.
   */
  readonly redisStatedbUrl?: string | null | undefined;
  /**
   * Begins the keys of a worker's state on Redis (celery-redis-statedb).
   * `redis_state_key_prefix`. Default: "celery:worker:state:".
   */
  readonly redisStateKeyPrefix?: string | undefined;
  /** Lifetime of a worker's state on Redis. null: no end. `redis_state_ttl`, seconds. Default: null. */
  readonly redisStateTtl?: number | null | undefined;
  /** RedBeat: what to do when the server may evict its keys. `redbeat_key_expiry_check`. Default: null. */
  readonly redbeatKeyExpiryCheck?: "ignore" | "warn" | "error" | "raise" | null | undefined;
  /** RedBeat: begins every key. `redbeat_key_prefix`. Default: "redbeat:". */
  readonly redbeatKeyPrefix?: string | undefined;
  /**
   * RedBeat: key of the lock that lets one beat run. Default, also for null: `<redbeatKeyPrefix>:lock`.
   * `redbeat_lock_key`. Default: null.
   */
  readonly redbeatLockKey?: string | null | undefined;
  /**
   * RedBeat: the lock ends this long after its holder fell silent. Default: 2 seconds.
   * `redbeat_lock_timeout`, seconds. Default: null.
   */
  readonly redbeatLockTimeout?: number | null | undefined;
  /** RedBeat: options of its Redis connection. `redbeat_redis_options`. Default: null. */
  readonly redbeatRedisOptions?: Readonly<Record<string, unknown>> | null | undefined;
  /**
   * RedBeat: URL of the Redis that holds the schedules. Default: brokerUrl.
   * `redbeat_redis_url`. Default: null.
   */
  readonly redbeatRedisUrl?: string | null | undefined;
  /**
   * RedBeat: TLS to its Redis. Default: brokerUseSsl, where redbeatRedisUrl is not set.
   * `redbeat_redis_use_ssl`. Default: null.
   */
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
