/** Django's tables of results. */
import { migrateSchema, openDatabase } from "../../src/sql/index.ts";

export async function makeResultTables(url: string): Promise<void> {
  const database = await openDatabase(url);
  await migrateSchema(database, ["django_celery_results"]);
  await database.close();
}
