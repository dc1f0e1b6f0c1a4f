/** The tables of one run, as text and as Markdown. */
import { short, spread, summary, table } from "./lib/stats.mjs";
import { judge } from "./targets.mjs";

const LABELS = { petiole: "Petiole", bullmq: "BullMQ", celery: "Celery prefork -c 2" };

/** Rows of a table: `[key, field]` of the report's summaries, by peer. */
const TABLES = [
  {
    title: "Enqueue, tasks/s",
    rows: [
      ["one after the other", "enqueue sequential", "perSecond"],
      ["1000 in flight (Celery: 8 threads)", "enqueue inflight", "perSecond"],
      ["bulk, 1000 per call (Celery: one producer)", "enqueue bulk", "perSecond"],
      ["client CPU us/task, in flight", "enqueue inflight", "clientCpuUs"],
      ["client CPU us/task, bulk", "enqueue bulk", "clientCpuUs"],
      ["Redis CPU us/task, bulk", "enqueue bulk", "redisCpuUs"],
      ["Redis memory, bytes per queued task", "enqueue bulk", "bytesQueued"],
    ],
  },
  {
    title: "Drain of tasks that wait, results stored, tasks/s (Celery: its only row is -c 2)",
    rows: [1, 10, 100, 1000, 2].map((c) => [`c=${c}`, `drain c=${c}`, "perSecond"]),
  },
  {
    title: "Drain in child processes (`-P prefork -c 2`), tasks/s",
    rows: [
      ["c=2", "prefork c=2", "perSecond"],
      ["worker CPU us, c=2 (all processes)", "prefork c=2", "workerCpuUs"],
      ["worker RSS MB, c=2 (all processes)", "prefork c=2", "rssMB"],
    ],
  },
  {
    title: "Cost of a drained task",
    rows: [1, 10, 100, 1000, 2].flatMap((c) => [
      [`worker CPU us, c=${c}`, `drain c=${c}`, "workerCpuUs"],
      [`Redis CPU us, c=${c}`, `drain c=${c}`, "redisCpuUs"],
    ]),
  },
  {
    title: "Traffic and memory under load",
    rows: [
      ...[100, 2].flatMap((c) => [
        [`bytes to Redis a task, c=${c}`, `drain c=${c}`, "bytesIn"],
        [`bytes from Redis a task, c=${c}`, `drain c=${c}`, "bytesOut"],
        [`worker RSS MB, c=${c}`, `drain c=${c}`, "rssMB"],
      ]),
      ["commands sent a task, producer", "commands", "sent"],
      ["commands sent a task, worker", "commands", "ran"],
    ],
  },
  {
    title: "Latency from the call to the start of the body, ms",
    rows: [40, 500].flatMap((perSecond) => [
      [`p50 at ${perSecond}/s`, `latency ${perSecond}/s`, "p50Ms"],
      [`p99 at ${perSecond}/s`, `latency ${perSecond}/s`, "p99Ms"],
    ]),
  },
  {
    title: "Start and idle",
    rows: [
      ["spawn to first body, ms", "start-up", "readyMs"],
      ["idle RSS, MB (all processes)", "idle", "rssMB"],
      ["idle CPU, %", "idle", "cpuPercent"],
      ["idle commands sent per second", "idle", "commandsPerSecond"],
    ],
  },
];

function reader(report) {
  const byId = new Map(report.summaries.map((s) => [`${s.peer}|${s.key}|${s.field}`, s]));
  return (peer, key, field) => byId.get(`${peer}|${key}|${field}`) ?? null;
}

/** `[{ title, head, rows }]` of everything that was measured. */
function filled(report) {
  const read = reader(report);
  const rounds = roundsOf(report);
  const peers = Object.keys(LABELS).filter((peer) => report.summaries.some((s) => s.peer === peer));
  const compare = peers.includes("petiole") && peers.includes("bullmq");
  return TABLES.flatMap(({ title, rows }) => {
    const cells = rows.flatMap(([label, key, field]) => {
      const found = peers.map((peer) => read(peer, key, field));
      if (found.every((s) => s === null)) return [];
      const ratio = summary(rounds.map((of) => of("petiole", key, field) / of("bullmq", key, field)));
      const against = ratio === null ? "" : `${ratio.median.toFixed(2)}x`;
      return [[label, ...found.map(spread), ...(compare ? [against] : [])]];
    });
    if (cells.length === 0) return [];
    return [
      {
        title,
        head: ["", ...peers.map((peer) => LABELS[peer]), ...(compare ? ["/ BullMQ"] : [])],
        rows: cells,
      },
    ];
  });
}

/** One reader of figures a round. */
function roundsOf(report) {
  const rounds = new Map();
  for (const { round, peer, key, values } of report.samples) {
    if (!values) continue;
    const figures = rounds.get(round) ?? new Map();
    rounds.set(round, figures);
    for (const [field, value] of Object.entries(values)) figures.set(`${peer}|${key}|${field}`, value);
  }
  return [...rounds.values()].map(
    (figures) => (peer, key, field) => figures.get(`${peer}|${key}|${field}`) ?? Number.NaN,
  );
}

export function verdicts(report) {
  return judge(roundsOf(report));
}

function machineLines({ machine: m, rounds, startedAt, notRun }) {
  return [
    `${m.cores} cores "${m.cpu}", ${m.memoryGiB} GiB, ${m.os}; load ${m.loadBefore} before, ${m.loadAfter} after`,
    `Node ${m.node}, Redis ${m.redis} (no persistence, loopback), Petiole ${m.petiole}${m.commit ? ` (${m.commit})` : ""}, BullMQ ${m.bullmq} on ioredis ${m.ioredis}${
      m.celery ? `, Python ${m.python} with Celery ${m.celery}, kombu ${m.kombu}, redis-py ${m.redisPy}` : ""
    }`,
    `${rounds} interleaved rounds, ${startedAt.slice(0, 10)}; median (min-max)`,
    ...notRun.map(({ peer, why }) => `NOT RUN: ${LABELS[peer]}: ${why}`),
  ];
}

const verdictRows = (report) =>
  verdicts(report).map(({ name, value, must, aim, verdict }) => [name, short(value), must, aim, verdict]);
const VERDICT_HEAD = ["target", "measured", "must", "aim", "verdict"];

export function renderText(report) {
  const parts = [machineLines(report).join("\n")];
  for (const { title, head, rows } of filled(report)) parts.push(`${title}\n${table(head, rows)}`);
  const rows = verdictRows(report);
  if (rows.length > 0) parts.push(`Targets\n${table(VERDICT_HEAD, rows)}`);
  return `${parts.join("\n\n")}\n`;
}

const markdownTable = (head, rows) =>
  [head, head.map((_, i) => (i === 0 ? "---" : "---:")), ...rows]
    .map((row) => `| ${row.join(" | ")} |`)
    .join("\n");

export function renderMarkdown(report) {
  const parts = [
    machineLines(report)
      .map((line) => `- ${line}`)
      .join("\n"),
  ];
  for (const { title, head, rows } of filled(report))
    parts.push(`**${title}**\n\n${markdownTable(head, rows)}`);
  const rows = verdictRows(report);
  if (rows.length > 0) parts.push(`**Targets**\n\n${markdownTable(VERDICT_HEAD, rows)}`);
  return parts.join("\n\n");
}
