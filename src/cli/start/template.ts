/** The files of a new project. They are what a user reads first: short, typed, without anything that is not needed. */
import { version } from "../../base/version.ts";

export interface ProjectFile {
  readonly path: string;
  readonly text: string;
}

/** What the project is made with, besides this package. */
const TOOLS = { "@types/node": "^20.19.43", tsx: "^4.23.15", typescript: "^6.0.3" };

/** @param name - of the package and of the app */
export function projectFiles(name: string): readonly ProjectFile[] {
  const manifest = {
    name,
    version: "0.1.0",
    private: true,
    type: "module",
    engines: { node: ">=20.19.0" },
    scripts: {
      dev: "petiole dev",
      worker: "petiole -A src/tasks.ts worker -l info",
      call: "node --import tsx src/call.ts",
      typecheck: "tsc",
    },
    dependencies: { petiole: `^${version()}` },
    devDependencies: TOOLS,
  };
  return [
    { path: "package.json", text: json(manifest) },
    { path: "tsconfig.json", text: json(TSCONFIG) },
    { path: ".gitignore", text: "node_modules/\n.petiole/\n" },
    { path: "README.md", text: readme(name) },
    { path: "src/tasks.ts", text: tasks(name) },
    { path: "src/call.ts", text: CALL },
  ];
}

function json(value: object): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

const TSCONFIG = {
  compilerOptions: {
    target: "es2023",
    module: "nodenext",
    types: ["node"],
    noEmit: true,
    strict: true,
    erasableSyntaxOnly: true,
    verbatimModuleSyntax: true,
    allowImportingTsExtensions: true,
    skipLibCheck: true,
  },
  include: ["src"],
};

function tasks(name: string): string {
  return `import { Celery } from "petiole";

export const app = new Celery(${JSON.stringify(name)}, {
  // A file, shared by the processes of this host. Several hosts: redis://host:6379/0, here or in the environment variables
  // CELERY_BROKER_URL and CELERY_RESULT_BACKEND.
  brokerUrl: "sqlite://./.petiole/tasks.db",
  resultBackend: "sqlite://./.petiole/tasks.db",
  // A message is acknowledged when its task is done: a worker that dies loses none, so a task may run twice.
  taskAcksLate: true,
});

export const add = app.task(${JSON.stringify(`${name}.add`)}, (x: number, y: number) => x + y);
`;
}

const CALL = `import { add, app } from "./tasks.ts";

const result = await add.delay(2, 3); // the broker has it
console.log(await result.get({ timeout: 10 })); // a worker has run it
await app.close();
`;

function readme(name: string): string {
  return `# ${name}
Tasks for [Petiole](https://www.npmjs.com/package/petiole), the Celery task queue for TypeScript.

\`\`\`sh
npm install
npm run dev        # in one terminal: runs tasks, and starts anew when a file changes
npm run call       # in another: sends add(2, 3), prints 5
\`\`\`

- \`src/tasks.ts\` has the app and its tasks. Add yours there.
- \`src/call.ts\` sends one and waits for its result, as a web server would.
- No server is needed: messages and results are in \`.petiole/\`.
- \`npx petiole -A src/tasks.ts inspect active\` shows what runs; \`npx petiole --help\` all that there is.
`;
}
