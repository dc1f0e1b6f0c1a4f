/** What the scheduler sends: see CELERY_BEAT_SCHEDULE in settings.ts. */
import { sharedTask } from "petiole";
import { db } from "../db/index.ts";

export const reportCounts = sharedTask("web.report_counts", { bind: true }, async (task) => {
  const [counts] = await db.query<{ users: number; uploads: number }>(
    "SELECT (SELECT COUNT(*) FROM users) AS users, (SELECT COUNT(*) FROM uploads) AS uploads",
  );
  const report = { users: Number(counts?.users), uploads: Number(counts?.uploads) };
  task.log.info(report, "Rows");
  return report;
});
