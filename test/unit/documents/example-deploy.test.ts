/** The files of `examples/web` for systemd, supervisor and Docker, which have no schema: what they need is written down here. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { root } from "../../support/built.ts";

const folder = join(root, "examples/web");
const read = (path: string): string => readFileSync(join(folder, path), "utf8");

/** Sections of an INI file, with their keys. */
function ini(text: string): Readonly<Record<string, Readonly<Record<string, string>>>> {
  const sections: Record<string, Record<string, string>> = {};
  let current: Record<string, string> | undefined;
  for (const line of text.split("\n")) {
    const section = /^\[(.+)\]$/.exec(line)?.[1];
    const pair = /^([A-Za-z_]+)=(.*)$/.exec(line);
    if (section !== undefined) sections[section] = current = {};
    else if (pair !== null && current !== undefined) current[pair[1] as string] = pair[2] as string;
    else if (line !== "" && !/^[#;]/.test(line)) throw new Error(`no line of an INI file: ${line}`);
  }
  return sections;
}

/** A `%` that is neither doubled nor one of the tool's own. */
const strayPercent = (text: string, own: RegExp): boolean =>
  text.replaceAll("%%", "").replaceAll(own, "").includes("%");

const UNIT_KEYS: Readonly<Record<string, readonly string[]>> = {
  Unit: ["Description", "After", "Wants"],
  Service: [
    "Type",
    "User",
    "StateDirectory",
    "WorkingDirectory",
    "EnvironmentFile",
    "ExecStart",
    "Restart",
    "RestartSec",
    "TimeoutStopSec",
    "KillMode",
  ],
  Install: ["WantedBy"],
};
const SYSTEMD_OWN = /%[iIn]/g;

function unitFlaws(text: string): readonly string[] {
  const sections = ini(text);
  const unknown = Object.entries(sections).flatMap(([section, keys]) =>
    Object.keys(keys).filter((key) => !UNIT_KEYS[section]?.includes(key)),
  );
  const { ExecStart: command = "" } = sections["Service"] ?? {};
  return [
    ...unknown.map((key) => `unknown: ${key}`),
    ...(command.startsWith("/") ? [] : ["ExecStart is no absolute path"]),
    ...(strayPercent(command, SYSTEMD_OWN) ? ["a % that is not doubled"] : []),
  ];
}

/** Supervisor's keys of a program that are used here, each with what it takes. */
const SUPERVISOR_KEYS: Readonly<Record<string, RegExp>> = {
  command: /^\//,
  process_name: /./,
  numprocs: /^\d+$/,
  numprocs_start: /^\d+$/,
  directory: /^\//,
  user: /^[a-z]+$/,
  autorestart: /^(?:true|false|unexpected)$/,
  stopsignal: /^(?:TERM|HUP|INT|QUIT|KILL|USR1|USR2)$/,
  stopwaitsecs: /^\d+$/,
};
const SUPERVISOR_OWN = /%\((?:program_name|process_num|host_node_name|here|ENV_\w+)\)[sd]/g;
/** Shorter than a warm shutdown takes. */
const LEAST_WAIT_S = 15;

function supervisorFlaws(text: string): readonly string[] {
  return Object.entries(ini(text)).flatMap(([section, keys]) => {
    const { numprocs = "1", process_name: names = "", stopsignal, stopwaitsecs = "10" } = keys;
    const flaws = Object.entries(keys).flatMap(([key, value]) => {
      const takes = SUPERVISOR_KEYS[key];
      if (takes === undefined) return [`not known: ${key}`];
      if (!takes.test(value)) return [`${key}=${value}`];
      return strayPercent(value, SUPERVISOR_OWN) ? [`a % that is not doubled in ${key}`] : [];
    });
    if (!section.startsWith("program:")) flaws.push("no program");
    if (stopsignal === undefined) flaws.push("no stopsignal");
    if (Number(stopwaitsecs) < LEAST_WAIT_S) flaws.push("killed before its tasks end");
    if (Number(numprocs) > 1 && !names.includes("%(process_num)")) flaws.push("processes of one name");
    return flaws.map((flaw) => `${section}: ${flaw}`);
  });
}

describe("deploy/", () => {
  const units = readdirSync(join(folder, "deploy/systemd"));
  const worker = read("deploy/systemd/petiole-worker@.service");

  test.each(units)("systemd/%s", (unit) => {
    expect(unitFlaws(read(`deploy/systemd/${unit}`))).toEqual([]);
  });

  test("a broken copy is refused", () => {
    expect(unitFlaws(worker.replaceAll("%%h", "%h").replace("KillMode", "Killmode"))).toEqual([
      "unknown: Killmode",
      "a % that is not doubled",
    ]);
  });

  const supervisor = read("deploy/supervisor/petiole.conf");

  test("supervisor/petiole.conf", () => {
    expect(supervisorFlaws(supervisor)).toEqual([]);
    expect(Object.keys(ini(supervisor))).toEqual(
      expect.arrayContaining(["program:petiole-web", "program:petiole-worker", "program:petiole-beat"]),
    );
  });

  test("a broken copy of it is refused", () => {
    const broken = supervisor
      .replaceAll("%%h", "%h")
      .replace("stopsignal=TERM", "stopsignal=SIGTERM")
      .replace("stopwaitsecs=120", "stopwaitsecs=2m")
      .replace("numprocs_start", "numproc_start")
      .replace("process_name=%(program_name)s-%(process_num)d\n", "");
    expect(supervisorFlaws(broken)).toEqual([
      "program:petiole-web: stopsignal=SIGTERM",
      "program:petiole-worker: a % that is not doubled in command",
      "program:petiole-worker: not known: numproc_start",
      "program:petiole-worker: stopwaitsecs=2m",
      "program:petiole-worker: processes of one name",
    ]);
    expect(() => supervisorFlaws(`${supervisor}autorestart: true\n`)).toThrow("no line of an INI file");
  });
});

const INSTRUCTIONS = new Set(["FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "EXPOSE", "CMD"]);

/** What would fail when the image is built, or runs as root, or carries what only the build needs. */
function dockerfileFlaws(text: string): readonly string[] {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  const words = lines.map((line) => line.split(/ +/));
  const instructions = words.map(([first = ""]) => first);
  const stages = words.filter(([first]) => first === "FROM");
  const names = new Set(stages.map(([, , , name]) => name));
  const flaws = instructions.filter((one) => !INSTRUCTIONS.has(one)).map((one) => `not known: ${one}`);
  if (instructions[0] !== "FROM") flaws.push("it does not begin with FROM");
  if (stages.length < 2) flaws.push("tools of the build are in the image");
  for (const [, image = ""] of stages) {
    if (!/:\d/.test(image)) flaws.push(`${image} has no version`);
  }
  for (const [, ...rest] of words.filter(([first]) => first === "COPY")) {
    const stage = rest.find((one) => one.startsWith("--from="))?.slice("--from=".length);
    const sources = rest.filter((one) => !one.startsWith("--")).slice(0, -1);
    if (stage !== undefined) flaws.push(...(names.has(stage) ? [] : [`no stage ${stage}`]));
    else
      flaws.push(...sources.filter((one) => !existsSync(join(folder, one))).map((one) => `no file ${one}`));
  }
  const last = words.slice(instructions.lastIndexOf("FROM"));
  const user = last.findLast(([first]) => first === "USER")?.[1] ?? "root";
  if (user === "root" || user === "0") flaws.push("it runs as root");
  const command =
    last
      .findLast(([first]) => first === "CMD")
      ?.slice(1)
      .join(" ") ?? "";
  // As a text it runs below a shell, which hands no signal on.
  if (!isListOfTexts(command)) flaws.push("CMD is no list");
  return flaws;
}

function isListOfTexts(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === "string");
  } catch {
    return false;
  }
}

describe("the Dockerfile", () => {
  const dockerfile = read("Dockerfile");

  test("has two stages, starts the web server, and the last one runs as a user of its own", () => {
    expect(dockerfileFlaws(dockerfile)).toEqual([]);
    expect(dockerfile).toMatch(/^USER node$/m);
    expect(dockerfile).toMatch(/^CMD \["node", "dist\/main\.js"\]$/m);
  });

  test("a broken copy is refused", () => {
    const broken = dockerfile
      .replace("COPY public", "COPY pubic")
      .replace("--from=build /app/dist", "--from=built /app/dist")
      .replace("EXPOSE", "EXPORT")
      .replace("FROM node:24-alpine\n", "FROM node\n")
      .replace("USER node\n", "")
      .replace('["node", "dist/main.js"]', "node dist/main.js");
    expect(dockerfileFlaws(broken)).toEqual([
      "not known: EXPORT",
      "node has no version",
      "no stage built",
      "no file pubic",
      "it runs as root",
      "CMD is no list",
    ]);
  });

  test("one with a single stage carries the tools of the build", () => {
    const [, second = ""] = dockerfile.split(/(?=^FROM )/m).slice(-2);
    expect(dockerfileFlaws(second)).toEqual([
      "tools of the build are in the image",
      "no stage build",
      "no stage build",
    ]);
  });
});
