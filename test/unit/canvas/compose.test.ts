import { describe, expect, test } from "vitest";
import { chained, compose, linkTo } from "../../../src/canvas/compose.ts";
import { chainData, chordData, groupData } from "../../../src/canvas/data.ts";
import type { SignatureData } from "../../../src/protocol/wire.ts";
import { drawn, shape, task } from "./support.ts";

const [a, b, c, d, e] = ["a", "b", "c", "d", "e"].map((name) => task(name)) as [
  SignatureData,
  SignatureData,
  SignatureData,
  SignatureData,
  SignatureData,
];

describe("what follows what", () => {
  test.each<[string, SignatureData, string]>([
    ["task | task", compose(a, b), "(a | b)"],
    ["a chain of one stays a chain", chained([a]), "(a)"],
    ["chains splice", chained([chained([a, b]), chained([c, d])]), "(a | b | c | d)"],
    ["chains in chains splice", chained([a, chained([b, chained([c, d])])]), "(a | b | c | d)"],
    ["group | task", compose(groupData([a, b]), c), "[a, b]>c"],
    ["a group of one that is piped stays a header", compose(groupData([a]), b), "[a]>b"],
    ["a group of one in a chain is its member", chained([groupData([a]), b]), "(a | b)"],
    ["task | group of one", compose(a, groupData([b])), "(a | b)"],
    ["task | group | task", chained([a, groupData([b, c]), d]), "(a | [b, c]>d)"],
    ["group | task | task", chained([groupData([a, b]), c, d]), "[a, b]>(c | d)"],
    ["chord | group | task", chained([chordData([a, b], c), groupData([d, e]), a]), "[a, b]>(c | [d, e]>a)"],
    ["chord | chord", chained([chordData([a], b), chordData([c], d)]), "([a]>b | [c]>d)"],
    ["group | group", compose(groupData([a, b]), groupData([c, d])), "[a, b]>[c, d]"],
    ["nothing | task", chained([chainData([]), a]), "(a)"],
    ["no steps", chained([]), "()"],
  ])("%s", (_name, made, expected) => {
    expect(shape(made)).toBe(expected);
  });

  test("in whatever order a chain is put together, its steps follow each other in the same order", () => {
    // A group that a chord's body has taken in, and a chord after it: the worker makes them one chord when it comes to that.
    const flat = (data: SignatureData): string => shape(data).replaceAll(/[()]/gu, "").replaceAll(">", " | ");
    for (let round = 0; round < 300; round += 1) {
      const steps = drawn(5);
      const whole = chained(steps);
      const at = round % (steps.length + 1);
      const halves = chained([chained(steps.slice(0, at)), chained(steps.slice(at))]);
      expect(flat(halves)).toBe(flat(whole));
    }
  });
});

describe("links", () => {
  test("of a chain that is spliced go to its last step, its errbacks to each", () => {
    const linked = linkTo(linkTo(chained([a, b]), "link", d), "link_error", e);
    const made = chained([linked, c]);
    expect(made.kwargs["tasks"]).toEqual([
      { ...a, options: { link_error: [e] } },
      { ...b, options: { link: [d], link_error: [e] } },
      c,
    ]);
  });

  test("of a group go to its first member, its errbacks to each, and ignore what comes before", () => {
    const linked = linkTo(linkTo(groupData([a, b]), "link", d), "link_error", e);
    expect(linked.kwargs["tasks"]).toEqual([
      { ...a, options: { link: [{ ...d, immutable: true }], link_error: [{ ...e, immutable: true }] } },
      { ...b, options: { link_error: [{ ...e, immutable: true }] } },
    ]);
  });

  test("of a chord go to its body", () => {
    const linked = linkTo(linkTo(chordData([a], b), "link", d), "link_error", e);
    expect(linked.kwargs["body"]).toEqual({ ...b, options: { link: [d], link_error: [e] } });
    expect(shape(linked)).toBe("[a]>b");
  });

  test("are not added twice", () => {
    expect(linkTo(linkTo(a, "link", d), "link", { ...d }).options["link"]).toEqual([d]);
  });
});
