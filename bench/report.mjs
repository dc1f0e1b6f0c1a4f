#!/usr/bin/env node
/** `node bench/report.mjs results.json [docs/performance.md]`: writes the figures between the markers of the page. */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { renderMarkdown } from "./render.mjs";

const BEGIN = "<!-- figures: begin -->";
const END = "<!-- figures: end -->";

const [results, page = fileURLToPath(new URL("../docs/performance.md", import.meta.url))] =
  process.argv.slice(2);
if (!results) {
  console.error(
    "usage: node bench/report.mjs results.json [page.md]\n(node bench/run.mjs --json results.json makes the file)",
  );
  process.exit(64);
}
const text = readFileSync(page, "utf8");
const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)];
if (begin === -1 || end < begin) {
  console.error(`${page} lacks the markers ${BEGIN} and ${END}`);
  process.exit(1);
}
const figures = renderMarkdown(JSON.parse(readFileSync(results, "utf8")));
writeFileSync(page, `${text.slice(0, begin + BEGIN.length)}\n${figures}\n${text.slice(end)}`);
console.log(`${page} has the figures of ${results}`);
