/** Tasks that are given the id of a row, not the row: what they load is what the database has when they run. */
import { createHash } from "node:crypto";
import { sharedTask } from "petiole";
import { db } from "../db/index.ts";

/** A database that is away for a moment costs an attempt, not the task. */
const patient = { acksLate: true, autoretryFor: [Error], retryBackoff: true, maxRetries: 5 } as const;

export const processInstance = sharedTask("web.process_instance", patient, async (instanceId: number) => {
  const [row] = await db.query<{ id: number }>(
    "UPDATE instances SET processed = TRUE WHERE id = $1 RETURNING id",
    [instanceId],
  );
  return row === undefined ? `Instance ${instanceId} not found.` : `Processed instance ${row.id}`;
});

export const sendWelcomeEmail = sharedTask(
  "web.send_welcome_email",
  { ...patient, bind: true },
  async (task, userId: number) => {
    const [user] = await db.query<{ name: string; email: string }>(
      "SELECT name, email FROM users WHERE id = $1",
      [userId],
    );
    if (user === undefined) return `User ${userId} not found.`;
    // Here a mail service would be called; `task.request.id` is the same in every attempt, as its idempotency key.
    task.log.info({ to: user.email }, "welcome e-mail sent");
    return `Sent to ${user.email}`;
  },
);

export const processUpload = sharedTask("web.process_upload", patient, async (uploadId: number) => {
  const [upload] = await db.query<{ filename: string; content: Uint8Array }>(
    "SELECT filename, content FROM uploads WHERE id = $1",
    [uploadId],
  );
  if (upload === undefined) return null;
  const sha256 = createHash("sha256").update(upload.content).digest("hex");
  await db.query("UPDATE uploads SET sha256 = $2 WHERE id = $1", [uploadId, sha256]);
  return { filename: upload.filename, bytes: upload.content.length, sha256 };
});
