import { describe, expect, test } from "vitest";
import {
  CONNECTION_STATES,
  type ConnectionState,
  ConnectionStateMachine,
  TRANSITIONS,
} from "../../../src/redis/connection-states.ts";

/** Shortest way from idle, by the table. */
function wayTo(target: ConnectionState): ConnectionState[] {
  const ways: ConnectionState[][] = [["idle"]];
  for (const way of ways) {
    const last = way.at(-1) ?? "idle";
    if (last === target) return way.slice(1);
    for (const next of TRANSITIONS[last]) if (!way.includes(next)) ways.push([...way, next]);
  }
  throw new Error(`${target} cannot be reached`);
}

describe("connection states", () => {
  const pairs = CONNECTION_STATES.flatMap((from) => CONNECTION_STATES.map((to) => [from, to] as const));
  test.each(pairs)("%s -> %s is allowed exactly when the table has it", (from, to) => {
    const seen: string[] = [];
    const machine = new ConnectionStateMachine((state, before) => seen.push(`${before}>${state}`));
    for (const step of wayTo(from)) machine.to(step);
    seen.length = 0;
    if (TRANSITIONS[from].includes(to)) {
      machine.to(to);
      expect(machine.state).toBe(to);
      expect(seen).toEqual([`${from}>${to}`]);
    } else {
      expect(() => machine.to(to)).toThrow(`from ${from} to ${to}`);
      expect(machine.state).toBe(from);
      expect(seen).toEqual([]);
    }
  });

  test("every state but closed can be left, and closed can be reached from each", () => {
    for (const state of CONNECTION_STATES) {
      if (state === "closed") expect(TRANSITIONS[state]).toEqual([]);
      else expect(TRANSITIONS[state]).toContain("closed");
    }
  });
});
