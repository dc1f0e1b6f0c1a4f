/** What statements are written with outside this folder. It loads the package: {@link requireKysely} says first whether it is there. */
export { type Kysely, type RawBuilder, sql } from "kysely";
