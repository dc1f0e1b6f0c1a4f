/** The manifests of docs/guides/state-db.md are what their tools take: every key is known, and has the right type. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { COMMANDS } from "../../../src/cli/options.ts";
import { root } from "../../support/built.ts";

const guide = readFileSync(join(root, "docs/guides/state-db.md"), "utf8");

function manifest(name: string): unknown {
  const found = new RegExp(`^\`${name}\`\\n\`\`\`\\w+\\n([\\s\\S]*?)^\`\`\`$`, "m").exec(guide)?.[1];
  if (found === undefined) throw new Error(`the guide has no ${name}`);
  return parse(found, { strict: true, uniqueKeys: true });
}

/** A type by its name, a pattern, all of a list, or an object: keys with `?` may be missing, `*` stands for any other. */
type Schema =
  | "string"
  | "number"
  | "boolean"
  | RegExp
  | readonly [Schema]
  | { readonly [key: string]: Schema };

/** What does not fit, by its path. */
function flaws(value: unknown, schema: Schema, path = ""): readonly string[] {
  if (typeof schema === "string") return typeof value === schema ? [] : [`${path}: no ${schema}`];
  if (schema instanceof RegExp)
    return typeof value === "string" && schema.test(value) ? [] : [`${path}: ${String(value)}`];
  if (Array.isArray(schema)) {
    const [item] = schema as readonly [Schema];
    if (!Array.isArray(value) || value.length === 0) return [`${path}: no list`];
    return value.flatMap((one, index) => flaws(one, item, `${path}[${index}]`));
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return [`${path}: no object`];
  const known = schema as Readonly<Record<string, Schema>>;
  const missing = Object.keys(known).filter((key) => !/[?*]$/.test(key) && !(key in value));
  return [
    ...missing.map((key) => `${path}.${key}: missing`),
    ...Object.entries(value).flatMap(([key, one]) => {
      const wanted = known[key] ?? known[`${key}?`] ?? known["*"];
      return wanted === undefined ? [`${path}.${key}: not known`] : flaws(one, wanted, `${path}.${key}`);
    }),
  ];
}

const DURATION = /^\d+(?:ms|s|m|h)$/;
const SERVICE: Schema = {
  image: "string",
  "command?": /./,
  "volumes?": [/^[\w-]+:\/\S+$/],
  "healthcheck?": { test: ["string"], "interval?": DURATION, "retries?": "number" },
  "stop_signal?": /^SIG[A-Z]+$/,
};
const COMPOSE: Schema = {
  services: {
    redis: SERVICE,
    worker: {
      ...(SERVICE as Readonly<Record<string, Schema>>),
      "command?": ["string"],
      environment: { "*": "string" },
      depends_on: { redis: { condition: /^service_healthy$/ } },
      deploy: { replicas: "number" },
      stop_grace_period: DURATION,
      init: "boolean",
      restart: /^(?:no|always|on-failure|unless-stopped)$/,
    },
  },
  volumes: { redis: {} },
};

const PROBE: Schema = {
  httpGet: { path: /^\/(?:livez|readyz)$/, port: /^health$/ },
  periodSeconds: "number",
  "timeoutSeconds?": "number",
  "failureThreshold?": "number",
};
const CONTAINER: Schema = {
  name: /^[a-z\d-]+$/,
  image: "string",
  command: ["string"],
  env: [
    {
      name: /^[A-Z_]+$/,
      "value?": "string",
      "valueFrom?": {
        "fieldRef?": { fieldPath: /^metadata\.name$/ },
        "secretKeyRef?": { name: "string", key: "string" },
      },
    },
  ],
  ports: [{ name: "string", containerPort: "number" }],
  livenessProbe: PROBE,
  readinessProbe: PROBE,
  resources: { requests: { cpu: /^\d+m?$/, memory: /^\d+(?:Mi|Gi)$/ } },
};
const DEPLOYMENT: Schema = {
  apiVersion: /^apps\/v1$/,
  kind: /^Deployment$/,
  metadata: { name: "string" },
  spec: {
    replicas: "number",
    selector: { matchLabels: { app: "string" } },
    template: {
      metadata: { labels: { app: "string" } },
      spec: { terminationGracePeriodSeconds: "number", containers: [CONTAINER] },
    },
  },
};

const ARN = /^arn:aws:[a-z]+:/;
const TASK_DEFINITION: Schema = {
  family: "string",
  networkMode: /^awsvpc$/,
  requiresCompatibilities: [/^FARGATE$/],
  cpu: /^(?:256|512|1024|2048|4096)$/,
  memory: /^\d+$/,
  executionRoleArn: ARN,
  containerDefinitions: [
    {
      name: "string",
      image: "string",
      essential: "boolean",
      command: ["string"],
      environment: [{ name: "string", value: "string" }],
      secrets: [{ name: "string", valueFrom: ARN }],
      stopTimeout: "number",
      linuxParameters: { initProcessEnabled: "boolean" },
      logConfiguration: { logDriver: /^awslogs$/, options: { "*": "string" } },
    },
  ],
};

test.each([
  ["compose.yaml", COMPOSE],
  ["worker.yaml", DEPLOYMENT],
  ["task-definition.json", TASK_DEFINITION],
])("%s is of the form that its tool takes", (name, schema) => {
  expect(flaws(manifest(name), schema)).toEqual([]);
});

test("the check finds what is wrong", () => {
  const broken = manifest("worker.yaml") as { spec: { replicas: unknown; template: { spec: object } } };
  broken.spec.replicas = "3";
  broken.spec.template.spec = { containers: [], gracePeriod: 1 };
  expect(flaws(broken, DEPLOYMENT)).toEqual([
    ".spec.replicas: no number",
    ".spec.template.spec.terminationGracePeriodSeconds: missing",
    ".spec.template.spec.containers: no list",
    ".spec.template.spec.gracePeriod: not known",
  ]);
});

test("their commands are ones of petiole, with options that it has", () => {
  const all = [...guide.matchAll(/\["npx", "petiole"[^\]]*\]/g)].map(
    ([text]) => JSON.parse(text) as string[],
  );
  expect(all).toHaveLength(3);
  for (const [, , ...words] of all) {
    const command = COMMANDS.find(({ name }) => words.includes(name));
    const flags = (command?.options ?? []).flatMap((option) => option.flags.split(/[ ,]+/));
    const given = words.filter((word) => word.startsWith("-") && word !== "-A");
    expect(given.filter((word) => !flags.includes(word))).toEqual([]);
  }
});
