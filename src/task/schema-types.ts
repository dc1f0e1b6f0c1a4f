/** The Standard Schema interface (standardschema.dev, version 1), copied as its authors ask. */

/** Any schema of zod 4, valibot 1, arktype 2 and others. */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    /** Checks a value, and may convert it. */
    readonly validate: (
      value: unknown,
      ...rest: any[]
    ) => SchemaResult<Output> | Promise<SchemaResult<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}
/** What a schema's `validate` answers: a value, or what is wrong. */
export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | {
      readonly issues: ReadonlyArray<{
        readonly message: string;
        readonly path?: ReadonlyArray<PropertyKey | { readonly key: PropertyKey }> | undefined;
      }>;
    };
/** What a schema takes. */
export type InputOf<S> = S extends StandardSchema<infer I, any> ? I : never;
/** What a schema gives. */
export type OutputOf<S> = S extends StandardSchema<any, infer O> ? O : never;
export type ObjectOnly<S> = [S] extends [StandardSchema<any, infer O>]
  ? O extends readonly unknown[]
    ? "input must describe an object: its properties travel as keyword arguments"
    : O extends object
      ? unknown
      : "input must describe an object: its properties travel as keyword arguments"
  : unknown;
