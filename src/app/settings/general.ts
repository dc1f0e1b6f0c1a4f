/** Settings without a prefix of their own: content, time, imports, control, events. */

import { daemon } from "./daemon.ts";
import type { Section, SettingRow } from "./row.ts";
import { anyText, boolean, seconds, stringRecord, strings, timezone, word } from "./values.ts";

export const general: Section<
  "acceptContent" | "enableUtc" | "imports" | "include" | "timezone" | "overrideBackends"
> = {
  acceptContent: {
    old: "CELERY_ACCEPT_CONTENT",
    kind: "M",
    type: strings,
    default: ["json"],
    text: "Serializers or content types that are accepted in messages; others are refused. pickle is never accepted.",
    effective: true,
  },
  enableUtc: {
    old: "ENABLE_UTC",
    kind: "M",
    type: boolean,
    default: true,
    text: "Dates and times in messages are UTC.",
    effective: true,
  },
  imports: {
    old: "CELERY_IMPORTS",
    kind: "M",
    type: strings,
    default: [],
    text: "Modules to import when a worker starts: paths relative to the current directory, or packages.",
    effective: true,
  },
  include: {
    old: "CELERY_INCLUDE",
    kind: "M",
    type: strings,
    default: [],
    text: "As imports, and imported after them.",
    effective: true,
  },
  timezone: {
    old: "CELERY_TIMEZONE",
    kind: "M",
    type: timezone,
    default: null,
    text: "Time zone of schedules and of displayed times. Without one UTC; Django's TIME_ZONE where the settings object has it.",
    effective: true,
  },
  overrideBackends: {
    old: null,
    kind: "U",
    type: stringRecord,
    default: null,
    text: "Modules of result backends of your own, under their URL schemes.",
    effective: false,
  },
};

const queueFlag = (old: string, what: string, flag: string): SettingRow<boolean> => ({
  old,
  kind: "U",
  type: boolean,
  default: false,
  text: `Whether the queues of ${what} are ${flag}.`,
  effective: false,
  why: "Redis knows no such thing.",
});
const queueSeconds = (old: string, value: number, text: string): SettingRow<number> => ({
  old,
  kind: "U",
  type: seconds(),
  unit: "seconds",
  default: value,
  text,
  effective: false,
  why: "Not enforced on Redis, as in Celery.",
});

export const control: Section<`control${string}`> = {
  controlExchange: {
    old: "CONTROL_EXCHANGE",
    kind: "M",
    type: word,
    default: "celery",
    text: "Base name of the exchanges of remote control: `<name>.pidbox` and `reply.<name>.pidbox`.",
    effective: true,
  },
  controlQueueDurable: queueFlag("CONTROL_QUEUE_DURABLE", "remote control", "durable"),
  controlQueueExclusive: queueFlag("CONTROL_QUEUE_EXCLUSIVE", "remote control", "exclusive"),
  controlQueueExpires: {
    old: "CONTROL_QUEUE_EXPIRES",
    kind: "U",
    type: seconds(),
    unit: "seconds",
    default: 10,
    text: "Replies that nobody has taken out are deleted after this time, at the earliest when nobody waits for them.",
    effective: true,
  },
  controlQueueTtl: queueSeconds(
    "CONTROL_QUEUE_TTL",
    300,
    "A message of remote control is dropped after this time.",
  ),
};

export const event: Section<`event${string}`> = {
  eventExchange: {
    old: "CELERY_EVENT_EXCHANGE",
    kind: "M",
    type: word,
    default: "celeryev",
    text: "Exchange of events.",
    effective: true,
  },
  eventQueueDurable: queueFlag("CELERY_EVENT_QUEUE_DURABLE", "event receivers", "durable"),
  eventQueueExclusive: queueFlag("CELERY_EVENT_QUEUE_EXCLUSIVE", "event receivers", "exclusive"),
  eventQueueExpires: queueSeconds(
    "CELERY_EVENT_QUEUE_EXPIRES",
    60,
    "An unused queue of an event receiver is deleted after this time.",
  ),
  eventQueuePrefix: {
    old: "CELERY_EVENT_QUEUE_PREFIX",
    kind: "M",
    type: word,
    default: "celeryev",
    text: "Begins the names of event receivers' queues.",
    effective: false,
  },
  eventQueueTtl: queueSeconds("CELERY_EVENT_QUEUE_TTL", 5, "An event is dropped after this time."),
  eventSerializer: {
    old: "CELERY_EVENT_SERIALIZER",
    kind: "M",
    type: word,
    default: "json",
    text: "Serializer of events.",
    effective: true,
  },
  ...daemon("events"),
};

export const security: Section<`security${string}`> = {
  securityCertificate: {
    old: "CELERY_SECURITY_CERTIFICATE",
    kind: "U",
    type: anyText,
    default: null,
    text: "File of the certificate that signs messages (serializer auth).",
    effective: false,
  },
  securityCertStore: {
    old: "CELERY_SECURITY_CERT_STORE",
    kind: "U",
    type: anyText,
    default: null,
    text: "Files of the certificates that signed messages are checked with, as a glob.",
    effective: false,
  },
  securityDigest: {
    old: "CELERY_SECURITY_DIGEST",
    kind: "U",
    type: word,
    default: "sha256",
    text: "Digest of message signatures.",
    effective: false,
  },
  securityKey: {
    old: "CELERY_SECURITY_KEY",
    kind: "U",
    type: anyText,
    default: null,
    text: "File of the private key that signs messages.",
    effective: false,
  },
  securityKeyPassword: {
    old: "CELERY_SECURITY_KEY_PASSWORD",
    kind: "U",
    type: anyText,
    default: null,
    secret: true,
    text: "Password of the private key.",
    effective: false,
  },
};
