/**
 * Typed names: declare tasks of other services here (`declare module "petiole" { interface TaskRegistry { … } }`), by hand
 * or by `petiole types pull`. Alone in its file: a module can be augmented through `export *` only.
 */
export interface TaskRegistry {}
