/** Every malformed message that was pushed at Python's workers, and what becomes of it here. Python died of nine of them. */
import { describe, expect, test } from "vitest";
import { DecodeError } from "../../../src/errors.ts";
import { decodeEnvelope } from "../../../src/protocol/envelope.ts";
import { decodeTask } from "../../../src/protocol/message.ts";
import { DEFAULT_LIMITS, type DecodedTask } from "../../../src/protocol/wire.ts";
import { thrownBy } from "../../support/thrown-by.ts";
import { vectorEntries } from "../../support/vectors.ts";

interface Accepted {
  readonly task: Partial<DecodedTask>;
}
interface Refused {
  readonly reason: string;
  /** The id under which a FAILURE can be stored. */
  readonly taskId: string | null;
}

/** As the call it stands for. */
const FINE: Accepted = { task: { id: "x1", task: "vt.add", args: [1, 2], kwargs: {} } };
const NOT_A_TASK = "not a task message: it has no header named task, and its body is not protocol 1's";

const OUTCOMES: Readonly<Record<string, Accepted | Refused>> = {
  // The transport knows where a message came from, and gives each delivery a tag of its own.
  delivery_info_without_exchange: {
    task: { ...FINE.task, deliveryInfo: { exchange: "", routingKey: "celery", redelivered: false } },
  },
  no_delivery_info: {
    task: { ...FINE.task, deliveryInfo: { exchange: "", routingKey: "", redelivered: false } },
  },
  no_delivery_tag: FINE,
  // Nothing says that the body is base64.
  no_properties: { reason: 'not JSON: unexpected "W" at character 0', taskId: "x1" },
  not_json: { reason: 'not JSON: unexpected "h" at character 0', taskId: null },
  json_number: { reason: "not a message: the envelope is not a JSON object", taskId: null },
  no_headers: { reason: NOT_A_TASK, taskId: null },
  headers_null: { reason: NOT_A_TASK, taskId: null },
  // correlation_id is the task's id in every message of Celery.
  no_id_header: { reason: "the header id is missing", taskId: "x1" },
  no_body_encoding_plain_body: FINE,
  unknown_body_encoding: {
    reason: 'body_encoding "rot13" is not known: base64, utf-8 or null',
    taskId: "x1",
  },
  no_content_type: {
    reason: "content-type is missing: the sender must say how the body is written",
    taskId: "x1",
  },
  body_two_elements: { reason: "the body must be [args, kwargs, embed]: it has 2 elements", taskId: "x1" },
  embed_null: {
    task: { ...FINE.task, embed: { callbacks: null, errbacks: null, chain: null, chord: null } },
  },
  bad_eta: { reason: 'the header eta: "garbage" is not an ISO 8601 date', taskId: "x1" },
  eta_number: { reason: "the header eta is not an ISO 8601 text", taskId: "x1" },
  eta_Z_millis: { task: { ...FINE.task, etaMs: Date.UTC(2020, 0, 1, 0, 0, 0, 123) } },
  timelimit_missing_ok: { task: { ...FINE.task, retries: 0, timeLimit: null, softTimeLimit: null } },
  kwargs_null: { reason: "kwargs, the body's second element, is not an object", taskId: "x1" },
  id_not_string: { reason: "the header id is not a text", taskId: "x1" },
  extra_unknown_headers: FINE,
};

function read(raw: string): DecodedTask {
  return decodeTask(decodeEnvelope(raw), { accept: ["json"], limits: DEFAULT_LIMITS });
}

describe("what kills or loses a message in Python", () => {
  const entries = vectorEntries("poison");

  test("is listed here, each with its outcome", () => {
    expect(entries.map(({ name }) => name)).toEqual(Object.keys(OUTCOMES));
  });

  const cases = entries.map(({ name, how }) => ({
    name,
    raw: /^LPUSH celery (.*)$/s.exec(how)?.[1] ?? "",
    outcome: OUTCOMES[name] ?? FINE,
  }));

  test.each(cases.filter(({ outcome }) => "task" in outcome))(
    "$name is a task that runs",
    ({ raw, outcome }) => {
      expect(read(raw)).toMatchObject((outcome as Accepted).task);
    },
  );

  test.each(cases.filter(({ outcome }) => "reason" in outcome))(
    "$name is refused, with the reason and the id",
    (refused) => {
      const { reason, taskId } = refused.outcome as Refused;
      const error = thrownBy(() => read(refused.raw));
      expect(error).toBeInstanceOf(DecodeError);
      expect(error).toMatchObject({ message: reason, taskId, code: "PET_MESSAGE_INVALID" });
    },
  );

  test("what Python's workers were sent in the execution scenarios is read or refused alike", () => {
    const refused: string[] = [];
    let taken = 0;
    for (const entry of vectorEntries("execution")) {
      for (const { cmd } of entry.commands) {
        const [command, key, , held] = cmd;
        if (command !== "HSET" || key !== "unacked" || typeof held !== "string") continue;
        try {
          read(JSON.stringify((JSON.parse(held) as unknown[])[0]));
          taken++;
        } catch (error) {
          refused.push(`${entry.name}: ${(error as Error).message.slice(0, 40)}`);
        }
      }
    }
    expect(refused).toEqual([
      "invalid_message_no_task_header: not a task message: it has no header nam",
      "disallowed_content_type_pickle: pickle is never read or written, because",
      'undecodable_body: not JSON: unexpected "n" at character 1',
    ]);
    expect(taken).toBeGreaterThan(85);
  });
});
