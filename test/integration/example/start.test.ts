/** What the example says where it cannot start: what is wrong, where, and what to do. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually } from "../../support/eventually.ts";
import { freePort } from "../../support/redis.ts";
import { failedStart, startExample } from "./running-example.ts";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(process.env["PETIOLE_TEST_DIR"] ?? tmpdir(), "example-start-"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const start = (env: Readonly<Record<string, string>>, program?: string) =>
  failedStart({ CELERY_BROKER_URL: `sqlite://${dir}/celery.db`, ...env }, program);

test("a PostgreSQL that is not there, without its password", async () => {
  const port = await freePort();
  const [code, said] = start({
    DATABASE_URL: `postgresql://app:secret@127.0.0.1:${port}/shop?application_name=web`,
  });
  expect([code, said]).toEqual([
    1,
    `cannot connect to postgresql://app:***@127.0.0.1:${port}/shop: connect ECONNREFUSED 127.0.0.1:${port}. Start that server, or set DATABASE_URL to another one; without DATABASE_URL rows are in a SQLite file`,
  ]);
});

test("a file that is no database", () => {
  const file = join(dir, "text.db");
  writeFileSync(file, "no database, but text\n".repeat(100));
  expect(start({ DATABASE_URL: `sqlite:${file}` })).toEqual([
    1,
    `cannot open the SQLite file ${file}: file is not a database. Set DATABASE_URL to another one, in a folder where this user may write`,
  ]);
});

test("a port that is taken, and one that is none", async () => {
  const holder = createServer();
  const port = await new Promise<number>((resolve) => {
    holder.listen(0, "127.0.0.1", () => resolve((holder.address() as { port: number }).port));
  });
  const rows = { DATABASE_URL: `sqlite:${dir}/web.db` };
  try {
    expect(start({ ...rows, PORT: String(port) })).toEqual([
      1,
      `port ${port} of 127.0.0.1 is taken by another program: set PORT to another one, as in PORT=${port + 1} npm run web`,
    ]);
  } finally {
    holder.close();
  }
  expect(start({ ...rows, PORT: "http" })).toEqual([1, "PORT=http must be a whole number from 1 to 65535"]);
});

test.each([
  [
    "postgresql://app:secret@:x",
    "DATABASE_URL is no URL: expected postgresql://user:password@host:5432/database",
  ],
  ["mysql://app:secret@localhost/shop", "DATABASE_URL must start with postgresql: or sqlite:"],
])("a DATABASE_URL that is none, without its password: %s", (url, said) => {
  for (const program of ["src/main.ts", "src/db/migrate.ts"]) {
    expect(start({ DATABASE_URL: url }, program)).toEqual([1, said]);
  }
});

test("a broker that is not there is told when the server listens, with its variable", async () => {
  const port = await freePort();
  const example = await startExample({ CELERY_BROKER_URL: `redis://127.0.0.1:${port}/0` });
  try {
    const said = await eventually("it says so", () => /^the broker .*$/m.exec(example.log())?.[0]);
    expect(said).toMatch(
      /^the broker does not answer: .*\. Start it, or set CELERY_BROKER_URL to another one$/,
    );
    expect(example.log()).not.toContain("the database");
    expect(example.log()).not.toContain("Warning");
  } finally {
    await example.stop();
  }
});
