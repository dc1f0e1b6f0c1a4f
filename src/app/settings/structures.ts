/** Settings with a shape of their own: TLS, retry policy, queues, annotations. Python's snake_case keys are accepted inside. */
import { readFileSync } from "node:fs";
import { camelKeys } from "../../base/case.ts";
import { didYouMean } from "../../base/nearest.ts";
import type { RetryPolicy } from "../../task/send-types.ts";
import type { TaskOptions } from "../../task/task-types.ts";
import type { Queue, TlsOptions } from "../settings-types.ts";
import { BadValue, isRecord, record, type ValueType } from "./values.ts";

const fromJson = record.fromText;

/** Python's `ssl` names that name a file, and Node's option that takes its content. */
const TLS_FILES: Readonly<Record<string, keyof TlsOptions>> = {
  caCerts: "ca",
  certfile: "cert",
  keyfile: "key",
};
const TLS_UNVERIFIED: ReadonlySet<unknown> = new Set(["none", "CERT_NONE", 0, null]);

/** `broker_use_ssl`: true, Node's TLS options, or Python's (`ssl_ca_certs`, `ssl_certfile`, `ssl_keyfile`, `ssl_cert_reqs`). */
export const tls: ValueType<boolean | TlsOptions> = {
  accepts: "true, false, or an object of TLS options (ca, cert, key, rejectUnauthorized, servername)",
  read(value) {
    if (typeof value === "boolean") return value;
    if (!isRecord(value)) return undefined;
    const options: Record<string, unknown> = {};
    for (const [key, given] of Object.entries(camelKeys(value))) {
      if (given === undefined) continue;
      const plain = key.startsWith("ssl") ? key.charAt(3).toLowerCase() + key.slice(4) : key;
      const file = TLS_FILES[plain];
      if (file !== undefined) {
        if (given !== null) options[file] = contentOf(key, given);
      } else if (plain === "certReqs") options["rejectUnauthorized"] = !TLS_UNVERIFIED.has(given);
      else if (plain === "checkHostname") {
        if (given === false) options["checkServerIdentity"] = () => undefined;
      } else options[key] = given;
    }
    return Object.freeze(options);
  },
  fromText: (value) => {
    const flag = /^(true|1|yes|on)$/i.test(value) || (/^(false|0|no|off)$/i.test(value) ? false : undefined);
    return flag ?? fromJson(value);
  },
};

function contentOf(key: string, path: unknown): string {
  if (typeof path !== "string") throw new BadValue(`${key} is not the name of a file`);
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new BadValue(`the file of ${key} cannot be read (${(error as NodeJS.ErrnoException).code ?? "?"})`);
  }
}

/** Celery's `task_publish_retry_policy`; `timeout` is ours, its default is the producer's. */
export const DEFAULT_RETRY_POLICY: Required<Omit<RetryPolicy, "timeout">> = Object.freeze({
  maxRetries: 3,
  intervalStart: 0,
  intervalMax: 1,
  intervalStep: 0.2,
});

const POLICY_NAMES: readonly string[] = [...Object.keys(DEFAULT_RETRY_POLICY), "timeout"];

/** A retry policy as far as it is given. Throws {@link BadValue}. */
function givenPolicy(value: unknown): RetryPolicy | undefined {
  if (!isRecord(value)) return undefined;
  const given = camelKeys(value);
  for (const [key, one] of Object.entries(given)) {
    if (!POLICY_NAMES.includes(key)) {
      throw new BadValue(`${key} is not known${didYouMean(key, POLICY_NAMES)}`);
    }
    if (one === undefined) delete given[key];
    else if (one === null && key === "maxRetries") continue;
    else if (typeof one !== "number" || !(one >= 0)) throw new BadValue(`${key} must be a number from 0`);
  }
  return given;
}

const POLICY_TEXT = "an object with maxRetries, intervalStart, intervalStep, intervalMax, timeout (seconds)";

/** A retry policy; what it leaves out is Celery's default. */
export const retryPolicy: ValueType<RetryPolicy> = {
  accepts: POLICY_TEXT,
  read(value) {
    const given = givenPolicy(value);
    return given && Object.freeze({ ...DEFAULT_RETRY_POLICY, ...given });
  },
  fromText: fromJson,
};

/** A retry policy that overrides another one where it says something. */
export const partialRetryPolicy: ValueType<RetryPolicy> = {
  accepts: POLICY_TEXT,
  read(value) {
    const given = givenPolicy(value);
    return given && Object.freeze(given);
  },
  fromText: fromJson,
};

export const EXCHANGE_TYPES = ["direct", "topic", "fanout"] as const;
const QUEUE_KEYS = ["name", "exchange", "exchangeType", "routingKey"] as const;
/** What a Python queue declaration may hold beside these. It concerns RabbitMQ only and has no effect. */
const BROKER_KEYS: ReadonlySet<string> = new Set(
  "durable exclusive autoDelete noAck alias bindingArguments queueArguments consumerArguments exchangeDurable exchangeAutoDelete exchangeArguments deliveryMode maxPriority maxLength maxLengthBytes messageTtl expires noDeclare".split(
    " ",
  ),
);

/** `task_queues`: an array of queues or names, or Celery's dict of name -> options (where the name is the default routing key). */
export const queues: ValueType<readonly Queue[] | Readonly<Record<string, Omit<Queue, "name">>>> = {
  accepts:
    "an array of queues ({ name, exchange, exchangeType, routingKey }), or an object of them under their names",
  read(value) {
    if (Array.isArray(value)) return Object.freeze(value.map((one: unknown) => queueFrom(one, null)));
    if (!isRecord(value)) return undefined;
    return Object.freeze(Object.entries(value).map(([key, one]) => queueFrom(one ?? {}, key)));
  },
  fromText: (value) => (/^\s*[[{]/.test(value) ? fromJson(value) : value.split(",").map((one) => one.trim())),
};

/** One queue in its final form. `key`: its name in the dict form. */
function queueFrom(value: unknown, key: string | null): Queue {
  if (typeof value === "string") return Object.freeze({ name: value });
  if (!isRecord(value)) throw new BadValue(`${key ?? "an element"} is neither a queue nor a name`);
  const given = camelKeys(value);
  given["name"] ??= key;
  given["routingKey"] ??= given["bindingKey"] ?? key ?? undefined;
  delete given["bindingKey"];
  if (isRecord(given["exchange"])) {
    given["exchangeType"] ??= given["exchange"]["type"];
    given["exchange"] = given["exchange"]["name"];
  }
  for (const [name, one] of Object.entries(given)) {
    if (one === undefined || one === null || BROKER_KEYS.has(name)) delete given[name];
    else if (!(QUEUE_KEYS as readonly string[]).includes(name)) {
      throw new BadValue(
        `queue ${JSON.stringify(given["name"])} has no ${name}${didYouMean(name, QUEUE_KEYS)}`,
      );
    } else if (typeof one !== "string") {
      throw new BadValue(`${name} of queue ${JSON.stringify(given["name"])} is not a string`);
    }
  }
  const type = given["exchangeType"];
  if (typeof given["name"] !== "string") throw new BadValue("a queue has no name");
  if (type !== undefined && !(EXCHANGE_TYPES as readonly unknown[]).includes(type)) {
    throw new BadValue(
      `exchangeType of queue ${JSON.stringify(given["name"])} must be one of ${EXCHANGE_TYPES.join(", ")}`,
    );
  }
  return Object.freeze({ ...given, name: given["name"] });
}

/** `task_annotations`: options for tasks by name, `"*"` for all; an array of such objects is merged, later ones win. */
export const annotations: ValueType<Readonly<Record<string, TaskOptions>>> = {
  accepts: 'an object of task options under task names ("*" for every task)',
  read(value) {
    const merged: Record<string, TaskOptions> = Object.create(null) as Record<string, TaskOptions>;
    for (const part of Array.isArray(value) ? (value as readonly unknown[]) : [value]) {
      if (!isRecord(part)) return undefined;
      for (const [name, options] of Object.entries(part)) {
        if (!isRecord(options))
          throw new BadValue(`${JSON.stringify(name)} has no options but ${typeof options}`);
        merged[name] = { ...merged[name], ...(camelKeys(options) as TaskOptions) };
      }
    }
    return Object.freeze(merged);
  },
  fromText: fromJson,
};
