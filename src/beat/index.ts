/**
 * Periodic tasks: `petiole/beat`.
 *
 * @packageDocumentation
 */
export { banner } from "./banner.ts";
export { Beat, type BeatEntryState, type BeatOptions } from "./beat.ts";
