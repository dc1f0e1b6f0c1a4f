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
  const isAllowed = ([from, to]: readonly [ConnectionState, ConnectionState]): boolean =>
    TRANSITIONS[from].includes(to);

  function machineIn(state: ConnectionState): { machine: ConnectionStateMachine; seen: string[] } {
    const seen: string[] = [];
    const machine = new ConnectionStateMachine((next, before) => seen.push(`${before}>${next}`));
    for (const step of wayTo(state)) machine.to(step);
    seen.length = 0;
    return { machine, seen };
  }

  test.each(pairs.filter(isAllowed))("%s -> %s is allowed and told", (from, to) => {
    const { machine, seen } = machineIn(from);
    machine.to(to);
    expect(machine.state).toBe(to);
    expect(seen).toEqual([`${from}>${to}`]);
  });

  test.each(pairs.filter((pair) => !isAllowed(pair)))(
    "%s -> %s is refused and changes nothing",
    (from, to) => {
      const { machine, seen } = machineIn(from);
      expect(() => machine.to(to)).toThrow(`from ${from} to ${to}`);
      expect(machine.state).toBe(from);
      expect(seen).toEqual([]);
    },
  );

  test("every state but closed can be left, and closed can be reached from each", () => {
    expect(TRANSITIONS.closed).toEqual([]);
    for (const state of CONNECTION_STATES.filter((one) => one !== "closed")) {
      expect(TRANSITIONS[state]).toContain("closed");
    }
  });
});
