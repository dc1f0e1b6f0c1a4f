/** The database of `DATABASE_URL`. It is opened by the first query. */
import { DATABASE_URL } from "../settings.ts";
import { StartError } from "../start.ts";
import type { Database } from "./database.ts";
import { PostgresDatabase } from "./postgres.ts";
import { SqliteDatabase } from "./sqlite.ts";

function open(url: string): Database {
  if (/^postgres(ql)?:/.test(url)) return new PostgresDatabase(url);
  if (url.startsWith("sqlite:")) return new SqliteDatabase(url.slice("sqlite:".length));
  throw new StartError("DATABASE_URL must start with postgresql: or sqlite:");
}

export const db: Database = open(DATABASE_URL);
