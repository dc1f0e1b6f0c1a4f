/** What the programs around a worker tell it by its environment. Small: every worker looks, few load what belongs to them. */

/** This process was started in the background. Its value is the number of the pipe to the parent. */
export const DETACHED = "PETIOLE_DETACHED";
/** This process is watched over. */
export const WATCHED = "PETIOLE_WATCHED";
/** The worker is one of `petiole dev`. */
export const DEVELOPED = "PETIOLE_DEV";
