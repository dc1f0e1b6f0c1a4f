import { register } from "node:module";

const seen = [];
const { port1, port2 } = new MessageChannel();
port1.on("message", (u) => seen.push(u));
port1.unref();
register(
  "data:text/javascript," +
    encodeURIComponent(
      `let p; export function initialize(d){p=d.port} export async function load(u,c,n){p.postMessage(u); return n(u,c)}`,
    ),
  import.meta.url,
  { data: { port: port2 }, transferList: [port2] },
);
await import(process.argv[2]);
await new Promise((r) => setTimeout(r, 50));
console.log(
  seen.filter((u) => u.startsWith("file:")).length,
  "files;",
  seen.filter((u) =>
    /\/(worker|pool|beat|outbox|dashboard|cli|integrations|testing|sql|sqlite|amqp)\//.test(u),
  ).length,
  "forbidden",
);
