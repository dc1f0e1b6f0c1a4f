/**
 * Petiole: the Celery distributed task queue for TypeScript and Node.js. This entry is the client's: it loads no worker, no
 * broker client and no codec; those come when they are first used.
 *
 * @packageDocumentation
 */

export { Celery, type NamedSendOptions } from "./app/app.ts";
export type { ControlCommandOptions, ControlHandler, ControlWorker } from "./app/control-commands.ts";
export type { PausedQueueInfo } from "./app/control-queues.ts";
export type {
  ActiveQueue,
  Control,
  ControlOptions,
  ControlReply,
  Inspect,
  LimitInfo,
  LimitWaiterInfo,
  Replies,
  TaskInfo,
  TaskSelector,
} from "./app/control-types.ts";
export type { AppEvents } from "./app/events.ts";
export type { BeatEntry, PeriodicOptions } from "./app/periodic.ts";
export type {
  AsyncResult,
  GetOptions,
  GraphOptions,
  GroupResult,
  Join,
  JoinOptions,
  ReadyState,
  ResultGraph,
  ResultSet,
  RevokeOptions,
  TaskOutcome,
  TaskState,
  TaskStatus,
} from "./app/result-types.ts";
export type { ScheduleInfo, Schedules, UnreadableSchedule } from "./app/schedule-types.ts";
export type {
  CeleryOptions,
  Conf,
  Queue,
  Route,
  Router,
  Routes,
  Settings,
  TlsOptions,
} from "./app/settings-types.ts";
export type { Middleware, Signal, SignalEvents, Signals } from "./app/signal-types.ts";
export type { StepSet, Steps, WorkerStep, WorkerStepContext, WorkerStepName } from "./app/steps.ts";
export type { Logger } from "./base/logger.ts";
export type {
  AnySignature,
  Group,
  ImmutableSignature,
  Signature,
  SignatureData,
} from "./canvas/canvas-types.ts";
export { isSignature } from "./canvas/signature.ts";
export type { StampingVisitor, StampOptions, Stamps, VisitorHeaders } from "./canvas/visitor.ts";
export {
  AlreadyRegistered,
  BackendError,
  ChordError,
  DecodeError,
  EncodeError,
  ERROR_CODES,
  Ignore,
  ImproperlyConfigured,
  MaxRetriesExceededError,
  NotRegistered,
  OperationalError,
  PetioleError,
  type PetioleErrorCode,
  type PublishOutcome,
  QueueNotFound,
  Reject,
  RemoteError,
  type RemoteErrorFields,
  Retry,
  SecurityError,
  SoftTimeLimitExceeded,
  TaskRevokedError,
  TimeLimitExceeded,
  TimeoutError,
  WorkerLostError,
} from "./errors.ts";
export type {
  CaptureOptions,
  EventHandlers,
  EventReceiver,
  EventReceiverOptions,
} from "./events/receiver.ts";
export type { EventState, EventStateOptions, TaskQuery } from "./events/state.ts";
export type { TaskView, WorkerView } from "./events/views.ts";
export type {
  AnyEvent,
  EventFields,
  EventHead,
  EventOf,
  EventType,
  TaskReceivedFields,
  WorkerStatusFields,
} from "./protocol/events.ts";
export type { TaskLogLevel, TaskLogLine } from "./protocol/log-lines.ts";
export { workerDirect } from "./protocol/nodenames.ts";
export { states } from "./protocol/states.ts";
export { Decimal, PlainDate, PlainTime, Uuid } from "./protocol/values.ts";
export type { CronField } from "./schedules/cron-field.ts";
export { type CrontabFields, type CrontabOptions, cron, crontab } from "./schedules/crontab.ts";
export type { CatchUp, EntryOptions, Overlap } from "./schedules/policy.ts";
export {
  type ClockedSchedule,
  type CronSchedule,
  type CrontabSchedule,
  clocked,
  type DstFold,
  type IntervalSchedule,
  type NowFun,
  type Schedule,
  type ScheduleOptions,
  type SolarEvent,
  type SolarSchedule,
  schedule,
} from "./schedules/schedule.ts";
export { solar } from "./schedules/solar.ts";
export type { RetryOptions, TaskContext, TaskRequest } from "./task/context-types.ts";
export { currentTask } from "./task/current.ts";
export { kw } from "./task/kw.ts";
export type * from "./task/registry-types.ts";
export type { InputOf, OutputOf, SchemaResult, StandardSchema } from "./task/schema-types.ts";
export type {
  Compression,
  ErrorCallback,
  OnCommitSendOptions,
  RetryPolicy,
  SendOptions,
  Serializer,
} from "./task/send-types.ts";
export type { Instant, Kwargs, Returned, Seconds } from "./task/sendable-types.ts";
export { sharedTask, signatureFrom } from "./task/shared.ts";
export type {
  AnyTask,
  Declared,
  ErrorClass,
  ParamsIn,
  RemoteTask,
  ResultIn,
  Task,
  TaskFactory,
  TaskName,
  TaskOptions,
} from "./task/task-types.ts";
export type { UniqueOptions } from "./task/unique-options.ts";
export { chain, chord, group } from "./task/workflow.ts";
