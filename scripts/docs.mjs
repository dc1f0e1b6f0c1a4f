// Writes what is generated: docs/errors.md from ERROR_CODES of src/errors.ts and REMEDIES of src/cli/remedies.ts, docs/cli.md from the
// tables of src/cli, docs/configuration.md and the comments of
// src/app/settings-types.ts from the settings table. With --check it writes nothing and
// fails when a document is not what would be written.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { cliDocument } from "./generate-cli-docs.mjs";
import { configurationDocuments } from "./generate-configuration-docs.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const check = process.argv.includes("--check");

/** Chapter -> what it is about, and the codes in it. A code that is in no chapter is refused. */
const CHAPTERS = [
  {
    title: "Settings and start-up",
    about:
      "Found before anything is sent or run. Change the setting, the URL or the module that the message names.",
    codes: [
      "PET_CONFIG_INVALID",
      "PET_CONFIG_UNKNOWN",
      "PET_CONFIG_IN_USE",
      "PET_URL_INVALID",
      "PET_PEER_MISSING",
      "PET_APP_NOT_FOUND",
      "PET_MODULE_FAILED",
    ],
  },
  {
    title: "Defining and calling tasks",
    about: "The caller's or the author's to mend; trying again gives the same error.",
    codes: [
      "PET_TASK_NOT_REGISTERED",
      "PET_TASK_ALREADY_REGISTERED",
      "PET_TASK_INVALID",
      "PET_STEP_FAILED",
      "PET_QUEUE_NOT_FOUND",
      "PET_ENCODE",
      "PET_ARGUMENTS",
      "PET_TRANSACTION",
      "PET_UNSUPPORTED",
    ],
  },
  {
    title: "Messages that cannot be read",
    about:
      "A worker met them. The message is kept on `<queue>.dead`, the worker goes on, and where the message has an id its caller gets a FAILURE.",
    codes: [
      "PET_MESSAGE_INVALID",
      "PET_MESSAGE_TOO_LARGE",
      "PET_CONTENT_DISALLOWED",
      "PET_CODEC_UNAVAILABLE",
    ],
  },
  {
    title: "Broker and result backend",
    about:
      'A publish that was rejected has `outcome`: after `"not sent"` it is safe to send again, after `"unknown"` the task may run.',
    codes: [
      "PET_BROKER_UNREACHABLE",
      "PET_BROKER_REFUSED",
      "PET_BACKEND",
      "PET_DATABASE_UNREACHABLE",
      "PET_DATABASE_REFUSED",
      "PET_SCHEMA",
      "PET_NO_REPLY",
      "PET_CLOSED",
    ],
  },
  {
    title: "Results",
    about: "Thrown by `get()` and its like. The task itself is not touched by them.",
    codes: [
      "PET_BACKEND_DISABLED",
      "PET_RESULT_INCOMPLETE",
      "PET_RESULT_IGNORED",
      "PET_TIMEOUT",
      "PET_REMOTE",
    ],
  },
  {
    title: "Thrown by tasks on purpose",
    about: "Throw them, or let `task.retry()` do it; they are no failures.",
    codes: ["PET_RETRY", "PET_REPLACED", "PET_IGNORE", "PET_REJECT"],
  },
  {
    title: "Command line",
    about:
      "`PET_USAGE`: exit code 64, `PET_RUNNING`: 73; a failed operation exits with 1. Every message of the program ends with its code.",
    codes: ["PET_USAGE", "PET_DAEMON", "PET_RUNNING", "PET_FENCED", "PET_SCHEDULE", "PET_UNEXPECTED"],
  },
];

const INTRO = `# Errors

Every error that Petiole throws on purpose is a \`PetioleError\` with a stable \`code\`. Branch on the code or on the class,
never on the message: messages may be improved, codes do not change their meaning.

\`\`\`ts
import { OperationalError, PetioleError, RemoteError } from "petiole";
import { add } from "./tasks.ts";

try {
  const result = await add.delay(2, 3);
  await result.get({ timeout: 10 });
} catch (error) {
  if (error instanceof RemoteError) console.error("the task failed:", error.type, error.args, error.remoteTraceback);
  else if (error instanceof OperationalError) console.error("the broker is away; the message was", error.outcome);
  else if (error instanceof PetioleError) console.error(error.code, error.message);
  else throw error;
}
\`\`\`

What a task throws in its worker reaches the caller as a \`RemoteError\` (code \`PET_REMOTE\`) with the \`type\`, \`module\`, \`args\` and
\`remoteTraceback\` that the worker stored, from Python as from TypeScript; \`MaxRetriesExceededError\`, \`TaskRevokedError\`,
\`WorkerLostError\` and their like are subclasses. Python's side raises the same class when it knows it.

\`petiole explain PET_…\` prints the same texts. The tables below are generated from \`src/errors.ts\` by \`make docs\`; a test compares them with it.
`;

function errorsDocument(codes, remedies) {
  const listed = CHAPTERS.flatMap((chapter) => chapter.codes);
  const missing = Object.keys(codes).filter((code) => !listed.includes(code));
  const unknown = listed.filter((code) => !(code in codes));
  if (missing.length > 0) throw new Error(`put into a chapter of scripts/docs.mjs: ${missing.join(", ")}`);
  if (unknown.length > 0) throw new Error(`not in ERROR_CODES any more: ${unknown.join(", ")}`);
  const chapters = CHAPTERS.map(({ title, about, codes: own }) => {
    const rows = own.map((code) => `| \`${code}\` | ${codes[code]} | ${remedies[code]} |`);
    return `## ${title}\n${about}\n\n| code | what it means | what to do |\n|---|---|---|\n${rows.join("\n")}\n`;
  });
  return `${INTRO}\n${chapters.join("\n")}`;
}

const built = (path) => import(pathToFileURL(join(root, "dist", path)).href);

const DOCUMENTS = [
  {
    path: "docs/errors.md",
    text: async () =>
      errorsDocument((await built("errors.js")).ERROR_CODES, (await built("cli/remedies.js")).REMEDIES),
  },
  { path: "docs/cli.md", text: () => cliDocument(built) },
  ...configurationDocuments(built),
];

for (const { path, text } of DOCUMENTS) {
  const file = join(root, path);
  const now = existsSync(file) ? readFileSync(file, "utf8") : "";
  const wanted = await text();
  if (now === wanted) continue;
  if (check) {
    process.stderr.write(`${path} is not what would be generated: run \`make docs\` and commit it\n`);
    process.exitCode = 1;
  } else {
    writeFileSync(file, wanted);
    process.stdout.write(`${path} written\n`);
  }
}
