// Sends ten tasks and prints one JSON line for each answer: to the Python worker, or with "typescript" as argument to ours.
import { type AsyncResult, type Celery, RemoteError } from "petiole";
import { app, divide, slug } from "./tasks.ts";

interface Answer {
  readonly value: unknown;
  readonly ranOn: string;
}

const factorial = app.remote<(n: number) => Answer>("demo.python.factorial");
const words = app.remote<(text: string) => Answer>("demo.python.words");

/** BigInts are written as numbers are in Python: whole. */
const write = (line: object): void => {
  const text = JSON.stringify(line, (_key, value: unknown) =>
    typeof value === "bigint" ? String(value) : value,
  );
  process.stdout.write(`${text}\n`);
};

type Call = [task: string, args: unknown[], send: () => Promise<AsyncResult<Answer>>];

const toPython: Call[] = [
  ...[1, 5, 10, 20, 30].map((n): Call => [factorial.name, [n], () => factorial.delay(n)]),
  ...["one", "one two", "a  b\tc", "", "a task goes round the world"].map(
    (text): Call => [words.name, [text], () => words.delay(text)],
  ),
];
const toOurs: Call[] = [
  ...["Hello, World", "Ünïcode ☕", "Two workers, one queue", "Ça va?", "Redis in the middle"].map(
    (title): Call => [slug.name, [title], () => slug.delay(title)],
  ),
  ...[1, 2, 3, 4].map((n): Call => [divide.name, [n, 4], () => divide.delay(n, 4)]),
  [divide.name, [1, 0], () => divide.delay(1, 0)],
];

/** One after the other, so that each time is one way there and back; the first one opens the connections. */
async function run(client: Celery, calls: readonly Call[]): Promise<void> {
  for (const [task, args, send] of calls) {
    const started = performance.now();
    const result = await send();
    const outcome = await result.get({ timeout: 20 }).then(
      (value) => ({ result: value }),
      (error: unknown) => ({ error: error instanceof RemoteError ? error.message : String(error) }),
    );
    write({ task, args, ...outcome, ms: Math.round(performance.now() - started) });
  }
  await client.close();
}

await run(app, process.argv.includes("typescript") ? toOurs : toPython);
