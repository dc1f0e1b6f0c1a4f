// From the settings table (src/app/settings.ts): docs/configuration.md, and the comments of src/app/settings-types.ts.
// Called by docs.mjs, which writes or checks them.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const TYPES = "src/app/settings-types.ts";
const WIDTH = 110;

/** Title, and which settings stand under it: the first chapter that takes one has it. */
const CHAPTERS = [
  ["RedBeat", /^redbeat/],
  ["Daemons", /^(worker|beat|events)(Executable|Gid|Logfile|Pidfile|Uid|Umask)$/],
  ["Broker", /^broker/],
  ["Tasks: sending and running", /^task/],
  ["Worker", /^worker/],
  ["Results", /^result/],
  ["Redis: results and worker state", /^redis/],
  ["Results in a cache or a database", /^(cache|database)/],
  ["Schedules", /^beat/],
  ["Events", /^event/],
  ["Remote control", /^control/],
  ["Signed messages", /^security/],
  ["General", /^/],
];
/** Order in the document. */
const ORDER = [
  "General",
  "Broker",
  "Tasks: sending and running",
  "Worker",
  "Results",
  "Redis: results and worker state",
  "Results in a cache or a database",
  "Schedules",
  "RedBeat",
  "Events",
  "Remote control",
  "Signed messages",
  "Daemons",
];

const INTRO = `# Configuration

Settings are Celery's, in camelCase: Python's \`task_serializer\` is \`taskSerializer\`. Durations are seconds unless a name says
otherwise. The tables below are generated from the settings table in \`src/app/settings.ts\` by \`make docs\`.

## Where settings come from
\`\`\`ts
import { Celery } from "petiole";

const app = new Celery("shop", { brokerUrl: "redis://localhost:6379/0", taskSerializer: "json" });
app.conf.resultExpires = 3600;
app.conf.update({ task_track_started: true });
app.configFromObject("./celeryconfig.ts:settings");
app.configFromEnv();
\`\`\`

Strongest first:

1. **The environment.** \`CELERY_BROKER_URL\`, \`CELERY_BROKER_READ_URL\`, \`CELERY_BROKER_WRITE_URL\` and \`CELERY_RESULT_BACKEND\` are always
   read and win over everything, as in Celery. \`app.configFromEnv()\` reads one variable for every setting, \`CELERY_\` and its name in
   upper case (\`CELERY_WORKER_CONCURRENCY=4\`); \`{ namespace: "SHOP" }\` takes another prefix.
2. **Code.** The constructor, \`app.conf.taskSerializer = …\`, \`app.conf.update({ … })\`; the last one wins.
3. **\`app.configFromObject(source, { namespace })\`.** An object, or \`"module"\` / \`"module:export"\`, which is loaded when the app is put to
   use. Of several calls the last one wins, name by name (Celery keeps only the last source).
4. **Defaults.**

The app is in use from the first send, or when a worker starts. From then on the settings are final, and an assignment throws
\`PET_CONFIG_IN_USE\`.

## Names
| spelling | example | where |
|---|---|---|
| camelCase | \`taskSerializer\` | everywhere |
| Python's | \`task_serializer\` | \`configFromObject\`, \`conf.update\`, the constructor |
| with a namespace | \`CELERY_TASK_SERIALIZER\` | \`configFromObject(source, { namespace: "CELERY" })\`, the environment |
| before Celery 4 | \`CELERY_TASK_RESULT_EXPIRES\`, \`CELERYD_CONCURRENCY\`, \`BROKER_URL\` | \`configFromObject\`, \`conf.update\`, the constructor; in the environment those that begin with the prefix |

- A name that does not exist is an error that suggests the nearest one (\`PET_CONFIG_UNKNOWN\`). In the environment it is one warning.
- An object without a namespace may not mix new and old names, as in Celery: the style of the majority counts, and the error
  lists what to rename. Upper-case names that are none of Celery's and begin neither with \`CELERY\` nor with \`BROKER_\` are somebody
  else's constants and are ignored.
- With a namespace only names with its prefix are checked; old names are taken where the new one is absent. So a Django-like settings
  object can be given as it is; its \`TIME_ZONE\` is the time zone where no \`timezone\` is set.

## Values
A value of the wrong type is an error that names the setting, the value and what is accepted (\`PET_CONFIG_INVALID\`); values of settings
that may hold a password are never shown. \`null\` means no value, where there need not be one.

Text from the environment is read by the setting's type: \`true\`/\`yes\`/\`on\`/\`1\` and their opposites; numbers and \`inf\`; durations as
\`90\`, \`90s\`, \`1h30m\`, \`500ms\`; lists with commas or as a JSON array; objects as JSON; \`null\` or \`none\`. An empty variable counts as not set.

In code a duration may also be a \`Temporal.Duration\`. Inside \`taskRoutes\`, \`taskQueues\`, \`taskPublishRetryPolicy\`, \`taskAnnotations\` and the TLS
settings Python's snake_case keys are understood too.

## Differences from Celery 5.6
| setting | Celery | here |
|---|---|---|
| \`workerPool\` | \`prefork\` | \`async\`: tasks share the event loop; \`prefork\` and \`threads\` are not there yet |
| \`brokerUrl\` | an AMQP server on this host | no default: an error at the first use says what to set |
| \`taskProtocol\` | 1 or 2 | 2; messages of protocol 1 are read, and setting 1 is an error |
| \`taskRoutes\` | a regular expression must match from the start of the name | it is searched for in the name: anchor it with \`^\` |
| \`taskQueues\` | \`exchange_type\` without \`exchange\` is lost | the queue gets an exchange of its own, named as the queue |
| an exchange that is not direct, without a routing key | published with none, which loses the message | the queue's routing key, else the default one |
| a namespace | names without it (\`task_serializer\`) count too | only its prefix and old names |
| \`CELERY_CONFIG_MODULE\`, \`CELERY_LOADER\` | name Python modules | not read: call \`configFromObject\` |
| any setting | unknown names are ignored, types are not checked | both are errors |
`;

const code = (text) => `\`${text}\``;
const cell = (text) => text.replaceAll("|", "\\|");

function defaultText(value) {
  if (value === null) return "–";
  if (value === Infinity) return code("Infinity");
  return code(JSON.stringify(value).replaceAll('":', '": ').replaceAll(',"', ', "'));
}

function row(setting) {
  const kind = setting.type.accepts.replace(/^(a|an) /, "");
  const unit = setting.unit && setting.unit !== "seconds" ? ` ${setting.unit}` : "";
  const none = setting.nullable ? ", or null" : "";
  const what = [setting.text, setting.note].filter(Boolean).join(" ");
  const cells = [
    `${code(setting.name)}<br>${code(setting.python)}`,
    `${kind}${unit && `, ${unit.trim()}`}${none}`,
    defaultText(setting.default),
    what,
    usedText(setting),
  ];
  return `| ${cells.map(cell).join(" | ")} |`;
}

function usedText({ effective, why }) {
  if (effective) return "yes";
  return why === undefined ? "not yet" : `no: ${why}`;
}

function chapterOf(name) {
  return CHAPTERS.find(([, pattern]) => pattern.test(name))[0];
}

function configurationDocument({ SETTINGS }, { IGNORED_GROUPS }) {
  const chapters = ORDER.map((title) => {
    const rows = SETTINGS.filter((setting) => chapterOf(setting.name) === title).map(row);
    return `## ${title}\n| setting | type | default | what it does | used |\n|---|---|---|---|---|\n${rows.join("\n")}\n`;
  });
  const oldNames = SETTINGS.filter((setting) => setting.old !== null)
    .map((setting) => `| ${code(setting.old)} | ${code(setting.name)} |`)
    .sort();
  const ignored = IGNORED_GROUPS.map(
    ({ reason, names }) => `- **${reason}**: ${Object.keys(names).map(code).join(", ")}`,
  );
  const idle = SETTINGS.filter((setting) => !setting.effective);
  const later = idle.filter((setting) => setting.why === undefined).length;
  return `${INTRO}
## Settings
${SETTINGS.length} settings. "used: not yet" (${later} of them): accepted, checked, and without effect in this version. "no" (${idle.length - later}): there is
nothing here that it could change. Setting one is mentioned in the warning at start-up.

${chapters.join("\n")}
## Accepted, without meaning here
A configuration that is shared with Python may hold them. Those that are set are named in one warning when the app starts.

${ignored.join("\n")}

## Names before Celery 4
| old | here |
|---|---|
${oldNames.join("\n")}
`;
}

/** The comment over one setting in the public type. */
function comment(setting) {
  const unit = setting.unit && setting.unit !== "milliseconds" ? `, ${setting.unit}` : "";
  const value = setting.default === null ? "null" : defaultText(setting.default).replaceAll("`", "");
  const facts = `\`${setting.python}\`${unit}. Default: ${value}.`;
  const line = `  /** ${setting.text} ${facts} */`;
  return line.length <= WIDTH ? line : `  /**\n   * ${setting.text}\n   * ${facts}\n   */`;
}

function settingsTypes({ SETTINGS }) {
  const text = readFileSync(join(root, TYPES), "utf8");
  const start = text.indexOf("export interface Settings {");
  const end = text.indexOf("\n}\n", start);
  const byName = new Map(SETTINGS.map((setting) => [setting.name, setting]));
  const body = text
    .slice(start, end)
    .replaceAll(/ {2}\/\*\*(?:(?!\*\/)[\s\S])*\*\/\n( {2}readonly (\w+)\?:)/g, (whole, member, name) => {
      const setting = byName.get(name);
      return setting ? `${comment(setting)}\n${member}` : whole;
    });
  return text.slice(0, start) + body + text.slice(end);
}

/** For docs.mjs. `built` imports a file of dist/. */
export function configurationDocuments(built) {
  const table = () => built("app/settings.js");
  return [
    {
      path: "docs/configuration.md",
      text: async () => configurationDocument(await table(), await built("app/settings/ignored.js")),
    },
    { path: TYPES, text: async () => settingsTypes(await table()) },
  ];
}
