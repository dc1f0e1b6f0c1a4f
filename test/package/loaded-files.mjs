// Prints, as JSON, every file that Node loads for a script: node loaded-files.mjs <specifier> [<statements>]
// `petiole` in the statements is what the import gave.
import { createRequire, register } from "node:module";
import { pathToFileURL } from "node:url";

const [specifier, statements = ""] = process.argv.slice(2);
const seen = [];
const { port1, port2 } = new MessageChannel();
port1.on("message", (url) => seen.push(url));
port1.unref();
const hooks = `
  let port;
  export function initialize(data) { port = data.port; }
  export async function load(url, context, next) { port.postMessage(url); return next(url, context); }
`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`, import.meta.url, {
  data: { port: port2 },
  transferList: [port2],
});
const petiole = await import(specifier);
const AsyncFunction = (async () => {}).constructor;
await new AsyncFunction("petiole", statements)(petiole);
// Messages of the hooks' thread that are still under way.
await new Promise((resolve) => setTimeout(resolve, 50));
// What was required, the hooks do not see.
for (const file of Object.keys(createRequire(import.meta.url).cache)) seen.push(pathToFileURL(file).href);
process.stdout.write(JSON.stringify([...new Set(seen)].filter((url) => url.startsWith("file:"))));
