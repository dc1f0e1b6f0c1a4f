/**
 * Stamps: headers that mark every task of a canvas. Pure, on the JSON form. Python: the `stamp`s of `celery/canvas.py`.
 *
 * What surrounds a signature comes first, then what the visitor says of it, then the stamps that it has already. Of one name
 * the first value stays; with `append` it becomes a list of all. Lists are always joined, objects merged.
 */
import type { SignatureData } from "../protocol/wire.ts";
import { asGroup, bodyOf, headerOf, kindOf, tasksOf, withOptions } from "./data.ts";

type Values = Readonly<Record<string, unknown>>;

/** What is put on a signature: options, of which some are stamps. */
export interface Marks {
  /** By wire names. */
  readonly values: Values;
  /** Which of them are stamps. */
  readonly stamped: readonly string[];
}

/** Where a visitor is asked, by its own names. */
export type StampPlace =
  | "onSignature"
  | "onGroupStart"
  | "onChainStart"
  | "onChordHeaderStart"
  | "onChordBody"
  | "onCallback"
  | "onErrback";
export type StampEnd = "onGroupEnd" | "onChainEnd" | "onChordHeaderEnd";

/** A visitor on the JSON form. */
export interface DataVisitor {
  /** null: it adds nothing. */
  visit(place: StampPlace, data: SignatureData, marks: Marks): Marks | null;
  end(place: StampEnd, data: SignatureData, marks: Marks): void;
}

export interface Stamping {
  readonly visitor: DataVisitor | null;
  /** A second value of a stamp joins the first. */
  readonly append: boolean;
}

const PLAIN: Stamping = { visitor: null, append: false };

/** Every name a stamp. */
export function marksOf(stamps: Values): Marks {
  return { values: stamps, stamped: Object.keys(stamps) };
}

/** Stamps every task of a signature, and what is linked to them. */
export function stampAll(data: SignatureData, marks: Marks, how: Stamping = PLAIN): SignatureData {
  const given = asGroup(data);
  switch (kindOf(given)) {
    case "chain":
      return stampMembers(given, { marks, start: "onChainStart", end: "onChainEnd" }, how);
    case "group":
      return stampMembers(given, { marks, start: "onGroupStart", end: "onGroupEnd" }, how);
    case "chord":
      return stampChord(given, marks, how);
    case "chunks":
    case "task":
      return stampTask(given, marks, how);
  }
}

function stampTask(data: SignatureData, marks: Marks, how: Stamping): SignatureData {
  const linked = stampLinks(data, marks, how);
  const { values, stamped } = withOwn(visited(data, "onSignature", { marks, how }), data, how);
  return withOptions(linked, { ...linked.options, ...values, stamped_headers: stamped });
}

interface Members {
  readonly marks: Marks;
  readonly start: StampPlace;
  readonly end: StampEnd;
}

function stampMembers(data: SignatureData, { marks, start, end }: Members, how: Stamping): SignatureData {
  const inner = withOwn(visited(data, start, { marks, how }), data, how);
  const linked = stampLinks(data, inner, how);
  const tasks = tasksOf(data).map((task) => stampAll(task, inner, how));
  const stamped = { ...linked, kwargs: { ...data.kwargs, tasks } };
  how.visitor?.end(end, stamped, inner);
  return stamped;
}

/** Python leaves the body alone where there is no visitor: it could not be found by its stamps. */
function stampChord(data: SignatureData, marks: Marks, how: Stamping): SignatureData {
  const inner = withOwn(visited(data, "onChordHeaderStart", { marks, how }), data, how);
  const linked = stampLinks(data, inner, how);
  const header = headerOf(data);
  const tasks = tasksOf(header).map((task) => stampAll(task, inner, how));
  const ofHeader = { ...header, kwargs: { ...header.kwargs, tasks } };
  const counted = { ...linked, kwargs: { ...data.kwargs, header: ofHeader } };
  how.visitor?.end("onChordHeaderEnd", counted, inner);
  const body = stampAll(bodyOf(data), visited(counted, "onChordBody", { marks: inner, how }), how);
  return { ...counted, kwargs: { ...counted.kwargs, body } };
}

/** What is linked gets the stamps around it and the visitor's, none of its own link's. */
function stampLinks(data: SignatureData, marks: Marks, how: Stamping): SignatureData {
  const { link, link_error: linkError } = data.options;
  if (link === undefined && linkError === undefined) return data;
  const all = (value: unknown, place: StampPlace): unknown => {
    if (value === null) return value;
    const linked = (Array.isArray(value) ? value : [value]) as readonly SignatureData[];
    return linked.map((one) => stampAll(one, visited(one, place, { marks, how }), how));
  };
  const options: Record<string, unknown> = { ...data.options };
  if (link !== undefined) options["link"] = all(link, "onCallback");
  if (linkError !== undefined) options["link_error"] = all(linkError, "onErrback");
  return withOptions(data, options);
}

interface Around {
  readonly marks: Marks;
  readonly how: Stamping;
}

/** With what the visitor says of it. */
function visited(data: SignatureData, place: StampPlace, { marks, how }: Around): Marks {
  const more = how.visitor?.visit(place, data, marks) ?? null;
  return more === null ? marks : joined(marks, more, how);
}

/** With the stamps that it has. */
function withOwn(marks: Marks, { options }: SignatureData, how: Stamping): Marks {
  const names: unknown = options["stamped_headers"];
  const own = Array.isArray(names) ? (names as readonly string[]) : [];
  const stamped = union(marks.stamped, own);
  const values = Object.fromEntries(
    stamped.filter((name) => Object.hasOwn(options, name)).map((name) => [name, options[name]]),
  );
  return joined(marks, { values, stamped }, how);
}

function joined(first: Marks, second: Marks, { append }: Stamping): Marks {
  return {
    values: mergeValues(first.values, second.values, append),
    stamped: union(first.stamped, second.stamped),
  };
}

function union(first: readonly string[], second: readonly string[]): readonly string[] {
  return [...new Set([...first, ...second])];
}

function mergeValues(first: Values, second: Values, append: boolean): Values {
  const merged = Object.entries(first).map(([name, value]): [string, unknown] => [
    name,
    Object.hasOwn(second, name) ? mergeValue(value, second[name], append) : value,
  ]);
  const more = Object.entries(second).filter(([name]) => !Object.hasOwn(first, name));
  return Object.fromEntries([...merged, ...more]);
}

function mergeValue(first: unknown, second: unknown, append: boolean): unknown {
  if (isPlain(first) && isPlain(second)) return mergeValues(first, second, true);
  if (Array.isArray(first) && Array.isArray(second)) return [...first, ...second];
  if (!append) return first;
  const all = Array.isArray(first) ? first : first === null ? [] : [first];
  return Array.isArray(second) ? [...all, ...second] : [...all, second];
}

function isPlain(value: unknown): value is Values {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
