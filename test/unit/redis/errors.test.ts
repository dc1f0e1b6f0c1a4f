import { describe, expect, test } from "vitest";
import { classifyReply, HANDLING, RedisError, replyError } from "../../../src/redis/errors.ts";

describe("Redis errors", () => {
  test.each([
    ["OOM command not allowed when used memory > 'maxmemory'.", "oom", "report"],
    [
      "OOM command not allowed when used memory > 'maxmemory'. script: 5, on @user_script:1.",
      "oom",
      "report",
    ],
    ["ERR Error running script (call to f_1): @user_script:3: -OOM command not allowed", "oom", "report"],
    ["ERR Error running script (call to f_1): @user_script: 3: WRONGTYPE Operation", "wrongtype", "stop"],
    ["MISCONF Redis is configured to save RDB snapshots", "misconf", "pause"],
    ["NOREPLICAS Not enough good replicas to write.", "noreplicas", "pause"],
    ["NOSCRIPT No matching script. Please use EVAL.", "noscript", "resend"],
    ["BUSY Redis is busy running a script.", "busy", "wait"],
    ["NOPERM this user has no permissions to run the 'evalsha' command", "noperm", "stop"],
    ["ERR ACL failure in script: User x has no permissions to run the 'select' command", "noperm", "stop"],
    ["WRONGTYPE Operation against a key holding the wrong kind of value", "wrongtype", "stop"],
    ["READONLY You can't write against a read only replica.", "readonly", "reconnect"],
    ["LOADING Redis is loading the dataset in memory", "loading", "reconnect"],
    ["MASTERDOWN Link with MASTER is down", "masterdown", "reconnect"],
    ["CLUSTERDOWN The cluster is down", "clusterdown", "reconnect"],
    ["UNBLOCKED force unblock from blocking operation", "unblocked", "reconnect"],
    ["CROSSSLOT Keys in request don't hash to the same slot", "crossslot", "stop"],
    ["NOAUTH Authentication required.", "noauth", "stop"],
    ["WRONGPASS invalid username-password pair", "noauth", "stop"],
    ["ERR max number of clients reached", "maxclients", "reconnect"],
    ["ERR syntax error", "other", "report"],
    ["", "other", "report"],
  ])("%s", (text, kind, handling) => {
    expect(classifyReply(text)).toBe(kind);
    expect(HANDLING[classifyReply(text)]).toBe(handling);
  });

  test("what will not change by itself is refused, the rest unreachable; users see an OperationalError", () => {
    const refused = replyError("WRONGTYPE Operation against a key", "FETCH");
    expect(refused).toBeInstanceOf(RedisError);
    expect([refused.name, refused.code, refused.outcome]).toEqual([
      "OperationalError",
      "PET_BROKER_REFUSED",
      "not sent",
    ]);
    expect(refused.message).toContain("rename or delete");
    expect(replyError("LOADING x", "FETCH").code).toBe("PET_BROKER_UNREACHABLE");
    expect(replyError("ERR something", "FETCH").outcome).toBe("unknown");
  });
});
