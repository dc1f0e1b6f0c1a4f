/** Stamping visitors, as users write them. Python: `StampingVisitor`. */
import { EncodeError } from "../errors.ts";
import type { SignatureData } from "../protocol/wire.ts";
import type { AnySignature, Group } from "./canvas-types.ts";
import { headerOf } from "./data.ts";
import { type DataVisitor, type Marks, marksOf, type StampEnd, type StampPlace } from "./stamp.ts";
import { isOptionName, wireNamed } from "./wire-options.ts";

/** Stamps by name. */
export type Stamps = Readonly<Record<string, unknown>>;

/**
 * What a visitor adds. With `stampedHeaders` only those are stamps: of the others, options of a send are set, and what is
 * none is a property of the message. Without it, all are stamps.
 */
export type VisitorHeaders = Stamps & { readonly stampedHeaders?: readonly string[] };

type Visit<S> = (signature: S, headers: VisitorHeaders) => VisitorHeaders | undefined;
type End<S> = (signature: S, headers: VisitorHeaders) => void;

/**
 * Says what each part of a canvas is stamped with. `headers`: what it gets from around it; a stamp that is there already wins,
 * but with `appendStamps`. Python: `celery.canvas.StampingVisitor`.
 */
export interface StampingVisitor {
  /** Each task, and what is linked to one. */
  onSignature: Visit<AnySignature>;
  /** What all of a group gets. */
  onGroupStart?: Visit<Group<readonly never[], readonly unknown[]>>;
  onGroupEnd?: End<Group<readonly never[], readonly unknown[]>>;
  /** What all of a chain gets. */
  onChainStart?: Visit<AnySignature>;
  onChainEnd?: End<AnySignature>;
  /** What all of a chord gets, its body too. By default what `onGroupStart` says of the header. */
  onChordHeaderStart?: Visit<AnySignature>;
  /** By default `onGroupEnd` of the header. */
  onChordHeaderEnd?: End<AnySignature>;
  /** What the body of a chord gets besides. Called with the chord. */
  onChordBody?: Visit<AnySignature>;
  /** What a callback gets, before `onSignature` is asked of it. */
  onCallback?: Visit<AnySignature>;
  /** What an errback gets, before `onSignature` is asked of it. */
  onErrback?: Visit<AnySignature>;
}

/** Of `stamp(visitor, …)`. */
export interface StampOptions {
  /** A second value of a stamp does not yield to the first: both are in a list. Python: `append_stamps`. */
  readonly appendStamps?: boolean | undefined;
  /** Besides a visitor. */
  readonly stamps?: Stamps | undefined;
}

/** A visitor has a method where stamps have data. */
export function isVisitor(given: StampingVisitor | Stamps): given is StampingVisitor {
  return typeof given["onSignature"] === "function";
}

/** Stamps as a user gives them. @throws EncodeError */
export function givenMarks(stamps: Stamps): Marks {
  for (const name of Object.keys(stamps)) checkName(name);
  return marksOf(stamps);
}

type Wrap = (data: SignatureData) => AnySignature;

/** `wrap`: makes what the methods are called with. */
export function dataVisitor(visitor: StampingVisitor, wrap: Wrap): DataVisitor {
  return {
    visit(place, data, marks) {
      const [method, seen] = methodFor(visitor, place, data);
      const added = visitor[method]?.(wrap(seen) as never, shown(marks));
      return added === undefined || added === null ? null : marksFrom(added, method);
    },
    end(place, data, marks) {
      const [method, seen] = methodFor(visitor, place, data);
      visitor[method]?.(wrap(seen) as never, shown(marks));
    },
  };
}

/** Of a chord's header a visitor may know no more than that it is a group. */
function methodFor<P extends StampPlace | StampEnd>(
  visitor: StampingVisitor,
  place: P,
  data: SignatureData,
): readonly [P | "onGroupStart" | "onGroupEnd", SignatureData] {
  if (visitor[place] === undefined && place === "onChordHeaderStart") return ["onGroupStart", headerOf(data)];
  if (visitor[place] === undefined && place === "onChordHeaderEnd") return ["onGroupEnd", headerOf(data)];
  return [place, data];
}

function shown({ values, stamped }: Marks): VisitorHeaders {
  return { ...values, stampedHeaders: stamped };
}

function marksFrom(added: VisitorHeaders, method: string): Marks {
  if (typeof added !== "object")
    throw new TypeError(`${method} of a stamping visitor gave ${typeof added}: it must give stamps by name`);
  const { stampedHeaders, ...values } = added;
  const stamped = stampedHeaders ?? Object.keys(values);
  for (const name of stamped) checkName(name);
  return { values: wireNamed(values), stamped };
}

function checkName(name: string): void {
  if (isOptionName(name) || name === "stampedHeaders" || name === "__proto__")
    throw new EncodeError(
      `a stamp cannot be named ${JSON.stringify(name)}: an option of a send is. Give it another name`,
    );
}
