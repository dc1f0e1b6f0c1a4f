/** Rows, and tasks about them: a task is sent when the transaction that stored its row commits, and never for a row that is not there. */
import type { FastifyInstance } from "fastify";
import { db } from "../db/index.ts";
import { RequestError } from "../errors.ts";
import { processInstance, processUpload, sendWelcomeEmail } from "../tasks/records.ts";
import { wholeNumber } from "./input.ts";
import { submit, submitOnCommit } from "./submit.ts";

/** One line of text. PostgreSQL takes no zero bytes. */
const oneLine = { type: "string", maxLength: 100, pattern: "^\\P{Cc}+$" };
const userBody = {
  type: "object",
  properties: {
    name: oneLine,
    email: { type: "string", format: "email", maxLength: 200 },
  },
  required: ["name", "email"],
};
const instanceBody = {
  type: "object",
  properties: { name: oneLine },
  required: ["name"],
};
const ROW_ID = { min: 1, max: 2_147_483_647 };

export async function recordRoutes(server: FastifyInstance): Promise<void> {
  server.post<{ Body: { name: string; email: string } }>(
    "/users/",
    { schema: { body: userBody } },
    async ({ body: { name, email } }, reply) => {
      const user = await db.transaction(async (tx) => {
        const [row] = await tx.query<{ id: number }>(
          "INSERT INTO users (name, email) VALUES ($1, $2) ON CONFLICT (email) DO NOTHING RETURNING id",
          [name, email],
        );
        if (row === undefined)
          throw new RequestError(409, "email", `there is a user with the email ${email}`);
        return { id: row.id, name, email, task_id: await submitOnCommit(tx, sendWelcomeEmail, [row.id]) };
      });
      return reply.code(201).send(user);
    },
  );

  server.post<{ Body: { name: string } }>(
    "/instances/",
    { schema: { body: instanceBody } },
    async ({ body: { name } }, reply) => {
      const [row] = await db.query<{ id: number }>("INSERT INTO instances (name) VALUES ($1) RETURNING id", [
        name,
      ]);
      return reply.code(201).send({ id: row?.id, name, processed: false });
    },
  );

  // Whether there is such a row is the task's to find out: it may be deleted before the task runs.
  server.post("/instances/:id/process/", async ({ params }, reply) => {
    const id = wholeNumber(params, "id", ROW_ID);
    const taskId = await submit(processInstance, [id]);
    return reply.code(202).send({ task_id: taskId, status: "Task triggered", instance_id: id });
  });

  server.post("/uploads/", async (request, reply) => {
    if (!request.isMultipart()) throw new RequestError(415, "file", "send the file as multipart/form-data");
    const part = await request.file();
    if (part?.fieldname !== "file") throw new RequestError(400, "file", "there is no field file with a file");
    const content = await part.toBuffer();
    const filename = part.filename.replaceAll(/\p{Cc}/gu, "").slice(0, 200);
    const upload = await db.transaction(async (tx) => {
      const [row] = await tx.query<{ id: number }>(
        "INSERT INTO uploads (filename, content) VALUES ($1, $2) RETURNING id",
        [filename, content],
      );
      const { id } = row as { id: number };
      return { id, filename, bytes: content.length, task_id: await submitOnCommit(tx, processUpload, [id]) };
    });
    return reply.code(202).send(upload);
  });
}
