import { describe, expect, test } from "vitest";
import { decodeEnvelope } from "../../../src/protocol/envelope.ts";
import {
  type ControlRequest,
  decodeReply,
  decodeRequest,
  encodeReply,
  encodeRequest,
  nodeOfPidboxQueue,
  pidboxNames,
  pidboxQueue,
  replyQueue,
} from "../../../src/protocol/pidbox.ts";
import { DEFAULT_LIMITS, type WireMessage } from "../../../src/protocol/wire.ts";
import { vectorEntries } from "../../support/vectors.ts";

const ACCEPT = { accept: ["json"] };
const names = pidboxNames("celery");

const request: ControlRequest = {
  method: "ping",
  arguments: {},
  destination: null,
  pattern: null,
  matcher: null,
  ticket: null,
  replyTo: null,
  clock: 1,
  expires: 0,
};

/** A message with this body and these headers. */
function message(body: unknown, headers: Readonly<Record<string, unknown>> = {}): WireMessage {
  return {
    body: typeof body === "string" ? body : JSON.stringify(body),
    contentType: "application/json",
    contentEncoding: "utf-8",
    headers,
    properties: {},
  };
}

const textOf = (one: WireMessage): unknown => JSON.parse(String(one.body));

describe("names", () => {
  test("are those of kombu, and a queue's node is read back", () => {
    expect(names).toEqual({ exchange: "celery.pidbox", replyExchange: "reply.celery.pidbox" });
    expect(pidboxQueue("w1@host", names)).toBe("w1@host.celery.pidbox");
    expect(replyQueue("client", names)).toBe("client.reply.celery.pidbox");
    expect(nodeOfPidboxQueue("w1@host.celery.pidbox", names)).toBe("w1@host");
    for (const other of ["w1@host", ".celery.pidbox", "w1@host.other.pidbox"]) {
      expect(nodeOfPidboxQueue(other, names)).toBeNull();
    }
  });
});

describe("recorded traffic", () => {
  const files = ["control", "mingle_gossip", "extra", "broadcast", "worker_startup"];
  const envelopes = files.flatMap((file) =>
    vectorEntries(file)
      .filter((entry) => entry.commands !== undefined)
      .flatMap((entry) =>
        entry.commands.flatMap(({ cmd }) => {
          const [name, key, payload] = cmd;
          if (typeof key !== "string" || typeof payload !== "string") return [];
          const kind =
            name === "PUBLISH" && key.endsWith(".pidbox")
              ? "request"
              : name === "LPUSH" && key.endsWith(".reply.celery.pidbox")
                ? "reply"
                : null;
          return kind === null ? [] : [{ kind, payload }];
        }),
      ),
  );
  const of = (kind: string): WireMessage[] =>
    envelopes
      .filter((one) => one.kind === kind)
      .map(({ payload }) => decodeEnvelope(payload, DEFAULT_LIMITS));

  test("every request is read, and written again it is the same", () => {
    const requests = of("request");
    expect(requests.length).toBeGreaterThan(60);
    for (const one of requests) {
      const again = encodeRequest(decodeRequest(one, ACCEPT), "json");
      expect([textOf(again), again.headers, again.properties]).toEqual([
        textOf(one),
        one.headers,
        expect.objectContaining({ delivery_mode: one.properties["delivery_mode"] }),
      ]);
    }
  });

  test("every reply is read, and written again it is the same", () => {
    const replies = of("reply");
    expect(replies.length).toBeGreaterThan(60);
    for (const one of replies) {
      const read = decodeReply(one, ACCEPT);
      const again = encodeReply(read, "json");
      expect([String(again.body).replaceAll(/\s/g, ""), again.headers]).toEqual([
        // Whole floats lose their fraction in JavaScript.
        String(one.body)
          .replaceAll(/\.0(?=[,}\]])/g, "")
          .replaceAll(/\s/g, ""),
        one.headers,
      ]);
      expect(again.properties).toEqual({ delivery_mode: one.properties["delivery_mode"] });
    }
  });
});

test("a request without a ticket asks for no reply", () => {
  expect(textOf(encodeRequest(request, "json"))).not.toHaveProperty("reply_to");
  const asking = { ...request, ticket: "t", replyTo: { exchange: "reply.celery.pidbox", routingKey: "c" } };
  expect(decodeRequest(encodeRequest(asking, "json"), ACCEPT)).toEqual(asking);
});

describe("what comes from the broker", () => {
  test.each([
    ["no object", "5"],
    ["a list", "[]"],
    ["no json", "{"],
    ["no method", "{}"],
    ["an empty method", '{"method":""}'],
    ["arguments that are no object", '{"method":"ping","arguments":[1]}'],
    ["a destination of numbers", '{"method":"ping","destination":[1]}'],
    ["a destination of too many", JSON.stringify({ method: "ping", destination: Array(10_001).fill("w") })],
    ["a pattern that is too long", JSON.stringify({ method: "ping", pattern: "x".repeat(1025) })],
    ["a ticket that is no text", '{"method":"ping","ticket":5}'],
    ["a reply_to without a key", '{"method":"ping","reply_to":{"exchange":"e"}}'],
    ["a reply_to with an empty key", '{"method":"ping","reply_to":{"exchange":"e","routing_key":""}}'],
    ["a reply_to that is text", '{"method":"ping","reply_to":"here"}'],
  ])("a request with %s is refused", (_, body) => {
    expect(() => decodeRequest(message(body), ACCEPT)).toThrow(/request|object|JSON/i);
  });

  test("one destination may stand alone; clocks that are none count as nothing", () => {
    const read = decodeRequest(message({ method: "ping", destination: "w1@host" }, { clock: "x" }), ACCEPT);
    expect(read).toEqual({ ...request, destination: ["w1@host"], clock: 0 });
  });

  test("a body in a serializer that is not accepted is refused", () => {
    const yaml = { ...message("method: ping"), contentType: "application/x-yaml" };
    expect(() => decodeRequest(yaml, ACCEPT)).toThrow(/not accepted/);
  });

  test("a key that would change an object's prototype changes nothing", () => {
    const read = decodeRequest(message('{"method":"ping","arguments":{"__proto__":{"x":1}}}'), ACCEPT);
    expect(Object.getPrototypeOf(read.arguments)).toBe(Object.prototype);
    expect(({} as { x?: number }).x).toBeUndefined();
  });

  test.each(["{}", '{"a":1,"b":2}', "[]", "null", JSON.stringify({ ["n".repeat(1025)]: 1 })])(
    "the reply %s is refused",
    (body) => {
      expect(() => decodeReply(message(body), ACCEPT)).toThrow(/object/);
    },
  );

  test("a reply without a ticket says so", () => {
    expect(decodeReply(message({ node: null }), ACCEPT)).toEqual({
      node: "node",
      reply: null,
      ticket: null,
      clock: 0,
    });
  });
});
