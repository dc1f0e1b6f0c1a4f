#!/usr/bin/env node
// `npm create petiole [folder]` is `petiole init [folder]`.
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const home = dirname(fileURLToPath(import.meta.resolve("petiole/package.json")));
process.argv.splice(2, 0, "init");
await import(pathToFileURL(join(home, "dist/cli/main.js")).href);
