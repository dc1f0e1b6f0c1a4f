/** `petiole events` on a terminal: the model, the screen and the app together. Python: `celery/events/cursesmon.py`. */
import type { Celery } from "../../app/app.ts";
import type { ControlReply, Replies } from "../../app/control-types.ts";
import { version } from "../../base/version.ts";
import type { Key } from "./keys.ts";
import {
  afterKey,
  type Cluster,
  type Effect,
  type KeyContext,
  type Model,
  START,
  settled,
  withPage,
} from "./model.ts";
import { pageColumns, pageRows, render, tableRows } from "./render.ts";
import { Terminal } from "./terminal.ts";

/** Time between two looks at what the events have told. */
const REFRESH_MS = 200;
/** Tasks in the table; older ones are in the state only. */
const TASKS_AT_MOST = 1000;

/** Until the user ends it, or the signal is aborted. */
export async function monitor(
  app: Celery,
  options: { readonly color: boolean; readonly signal: AbortSignal },
): Promise<void> {
  const state = app.events.state();
  const receiver = app.events.receiver({
    handlers: { "*": (event) => state.event(event) },
    onGap: () => view.say("The connection was lost and made again: events may have been missed."),
  });
  // Errors of the first connection belong on the normal screen.
  await receiver.start(options.signal);
  const view = new View(app, {
    color: options.color,
    cluster: () => ({
      tasks: state.tasksByTime({ limit: TASKS_AT_MOST }),
      workers: [...state.workers.values()],
      eventCount: state.eventCount,
      taskCount: state.taskCount,
    }),
  });
  try {
    await view.run(options.signal);
  } finally {
    await receiver.close();
  }
}

interface ViewOptions {
  readonly color: boolean;
  readonly cluster: () => Cluster;
}

class View {
  readonly #app: Celery;
  readonly #options: ViewOptions;
  readonly #terminal: Terminal;
  #model: Model = START;
  #cluster: Cluster;
  readonly #end = new AbortController();

  constructor(app: Celery, options: ViewOptions) {
    this.#app = app;
    this.#options = options;
    this.#cluster = options.cluster();
    this.#terminal = new Terminal({
      color: options.color,
      onKey: (key) => this.#onKey(key),
      onResize: () => this.#draw(),
      onNews: (text) => this.say(text),
    });
  }

  async run(signal: AbortSignal): Promise<void> {
    const ended = new Promise<void>((resolve) => {
      for (const one of [signal, this.#end.signal])
        one.addEventListener("abort", () => resolve(), { once: true });
      if (signal.aborted) resolve();
    });
    this.#terminal.enter();
    const timer = setInterval(() => this.#refresh(), REFRESH_MS);
    try {
      this.#draw();
      await ended;
    } finally {
      clearInterval(timer);
      this.#terminal.leave();
    }
  }

  /** One line of news. */
  say(message: string): void {
    this.#model = { ...this.#model, message };
    this.#draw();
  }

  #refresh(): void {
    this.#cluster = this.#options.cluster();
    this.#draw();
  }

  #draw(): void {
    this.#model = settled(this.#model, this.#context);
    const title = `petiole events ${version()}`;
    this.#terminal.draw(render({ title, model: this.#model, cluster: this.#cluster }, this.#terminal.size));
  }

  get #context(): KeyContext {
    const { size } = this.#terminal;
    return {
      cluster: this.#cluster,
      rows: tableRows(size, this.#cluster.workers.length),
      pageRows: pageRows(size),
      pageColumns: pageColumns(size),
    };
  }

  #onKey(key: Key): void {
    // News that were read once are gone with the next key.
    const { model, effect } = afterKey({ ...this.#model, message: "" }, key, this.#context);
    this.#model = model;
    this.#do(effect);
    this.#draw();
  }

  #do(effect: Effect): void {
    switch (effect.kind) {
      case "none":
        return;
      case "quit":
        this.#end.abort();
        return;
      case "bell":
        this.#terminal.bell();
        return;
      case "redraw":
        this.#terminal.clear();
        return;
      case "suspend":
        // All of a pipeline or of npx, as the terminal itself would.
        process.kill(0, "SIGTSTP");
        return;
      case "revoke": {
        const { uuid, terminate } = effect;
        this.#ask(`Revoke ${uuid}`, this.#app.control.revoke(uuid, { reply: true, terminate }));
        return;
      }
      case "rate-limit": {
        const { task, limit } = effect;
        this.#ask(
          `Rate limit of ${task}: ${limit}`,
          this.#app.control.rateLimit(task, limit, { reply: true }),
        );
      }
    }
  }

  #ask(title: string, replies: Promise<Replies<ControlReply>>): void {
    this.#model = { ...this.#model, message: `${title}: asking the workers…` };
    replies.then(
      (told) => this.#show(title, repliesText(told)),
      (error: unknown) => this.#show(title, error instanceof Error ? error.message : String(error)),
    );
  }

  #show(title: string, text: string): void {
    this.#model = withPage(this.#model, title, text);
    this.#draw();
  }
}

function repliesText(replies: Replies<ControlReply>): string {
  const lines = Object.entries(replies).map(
    ([node, { ok, error }]) => `${node}: ${error === undefined ? String(ok) : `ERROR ${error}`}`,
  );
  return lines.length === 0 ? "No replies received in 1s deadline." : lines.join("\n");
}
