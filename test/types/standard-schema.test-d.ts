/** Our copy of the Standard Schema interface is the specification's. */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { InputOf, OutputOf, StandardSchema } from "petiole";
import { expectTypeOf, test } from "vitest";

test("a schema of the specification is one of ours, with the same input and output", () => {
  type Specified = StandardSchemaV1<string, number>;
  expectTypeOf<Specified>().toExtend<StandardSchema<string, number>>();
  expectTypeOf<InputOf<Specified>>().toEqualTypeOf<StandardSchemaV1.InferInput<Specified>>();
  expectTypeOf<OutputOf<Specified>>().toEqualTypeOf<StandardSchemaV1.InferOutput<Specified>>();
});

test("one of ours is a schema of the specification", () => {
  expectTypeOf<StandardSchema<string, number>>().toExtend<StandardSchemaV1<string, number>>();
});
