/**
 * The files that deploy `examples/web` are what their tools take: each by the tool's own schema (test/schemas), where there is
 * one; the others are in example-deploy.test.ts. That their commands run is test/integration/example/compose.test.ts.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv, type ValidateFunction } from "ajv";
import { describe, expect, test } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { COMMANDS } from "../../../src/cli/options.ts";
import { root } from "../../support/built.ts";

const folder = join(root, "examples/web");
const read = (path: string): string => readFileSync(join(folder, path), "utf8");

const checks = new Map<string, ValidateFunction>();

function checkOf(schemaName: string, definition: string | undefined): ValidateFunction {
  const key = `${schemaName} ${definition ?? ""}`;
  const known = checks.get(key);
  if (known !== undefined) return known;
  const schema = JSON.parse(readFileSync(join(root, "test/schemas", `${schemaName}.json`), "utf8")) as object;
  const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false });
  const check = ajv.compile(
    definition === undefined ? schema : { ...schema, $ref: `#/definitions/${definition}` },
  );
  checks.set(key, check);
  return check;
}

/** What does not fit, by its path. */
function flaws(value: unknown, schemaName: string, definition?: string): readonly string[] {
  const check = checkOf(schemaName, definition);
  return check(value) ? [] : (check.errors ?? []).map((one) => `${one.instancePath} ${one.message ?? ""}`);
}

const yaml = (path: string): unknown => parse(read(path), { strict: true, uniqueKeys: true, merge: true });
const documents = (path: string): readonly KubernetesObject[] =>
  parseAllDocuments(read(path), { strict: true, uniqueKeys: true }).map((one) => {
    if (one.errors.length > 0) throw new Error(`${path}: ${one.errors.join(", ")}`);
    return one.toJS() as KubernetesObject;
  });

interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly [key: string]: unknown;
}
const KINDS: Readonly<Record<string, string>> = {
  "apps/v1 Deployment": "io.k8s.api.apps.v1.Deployment",
  "apps/v1 StatefulSet": "io.k8s.api.apps.v1.StatefulSet",
  "v1 Service": "io.k8s.api.core.v1.Service",
  "v1 ConfigMap": "io.k8s.api.core.v1.ConfigMap",
  "v1 Secret": "io.k8s.api.core.v1.Secret",
  "policy/v1 PodDisruptionBudget": "io.k8s.api.policy.v1.PodDisruptionBudget",
};
/** KEDA's is no kind of Kubernetes itself. */
const SCALED_OBJECT = "keda.sh/v1alpha1 ScaledObject";

function kubernetesFlaws(one: KubernetesObject): readonly string[] {
  const kind = `${one.apiVersion} ${one.kind}`;
  return kind in KINDS ? flaws(one, "kubernetes", KINDS[kind]) : [`${kind}: not known`];
}

interface Service {
  readonly image?: string;
  readonly hostname?: string;
  readonly command?: readonly string[];
  readonly stop_signal?: string;
  readonly stop_grace_period?: string;
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly environment?: Readonly<Record<string, string>>;
}
const compose = yaml("docker-compose.yml") as { readonly services: Readonly<Record<string, Service>> };
const { services } = compose;

describe("docker-compose.yml", () => {
  test("is of the Compose specification", () => {
    expect(flaws(compose, "compose")).toEqual([]);
  });

  test("a broken copy is not", () => {
    const broken = structuredClone(compose) as unknown as { services: { web: Record<string, unknown> } };
    broken.services.web["healthchek"] = { test: [] };
    broken.services.web["stop_signal"] = 15;
    const found = flaws(broken, "compose").filter((one) => one.startsWith("/services/web "));
    expect(found).toContain("/services/web must NOT have additional properties");
    expect(flaws(broken, "compose")).toContain("/services/web/stop_signal must be string");
  });

  test("has the services, names, variables and ways to stop of the documents", () => {
    expect(Object.keys(services)).toEqual(
      expect.arrayContaining([
        "web",
        "celery-worker-1",
        "celery-worker-2",
        "celery-beat",
        "redis",
        "postgres",
      ]),
    );
    for (const [name, service] of Object.entries(services)) {
      expect([name, service.healthcheck?.test[0]]).toEqual([name, "CMD"]);
      expect([name, typeof service.command]).not.toEqual([name, "string"]);
    }
    for (const number of [1, 2]) {
      const worker = services[`celery-worker-${number}`] as Service;
      expect(worker).toMatchObject({
        hostname: `celery-worker-${number}`,
        stop_signal: "SIGTERM",
        stop_grace_period: "60s",
        environment: {
          CELERY_BROKER_URL: "redis://redis:6379/0",
          REDIS_STATEDB_URL: "redis://redis:6379/1",
          CELERY_REDIS_STATE_KEY_PREFIX: "myapp:worker:state:",
        },
      });
      expect(worker.healthcheck?.test).toContain(`worker${number}@celery-worker-${number}`);
    }
  });
});

describe("k8s/", () => {
  const files = readdirSync(join(folder, "k8s"));

  test.each(files)("%s has objects of Kubernetes", (file) => {
    const own = documents(`k8s/${file}`).filter((one) => `${one.apiVersion} ${one.kind}` !== SCALED_OBJECT);
    expect(own.flatMap(kubernetesFlaws)).toEqual([]);
  });

  test("a broken copy is refused", () => {
    const [deployment] = documents("k8s/worker-deployment.yaml");
    const broken = structuredClone(deployment) as unknown as {
      spec: { replicas: unknown; template: { spec: Record<string, unknown> } };
    };
    broken.spec.replicas = "2";
    broken.spec.template.spec["terminationGracePeriod"] = 120;
    expect(kubernetesFlaws(broken as never)).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^\/spec\/replicas must be/),
        "/spec/template/spec must NOT have additional properties",
      ]),
    );
  });

  test("a worker has time to end, is probed, and scaled by the depth of its queue", () => {
    const [deployment, , scaled] = documents("k8s/worker-deployment.yaml");
    const [statefulSet] = documents("k8s/worker-statefulset.yaml");
    const pod = { template: { spec: { terminationGracePeriodSeconds: 120 } } };
    expect(deployment).toMatchObject({ spec: pod });
    expect(statefulSet).toMatchObject({ kind: "StatefulSet", spec: pod });
    expect(read("k8s/worker-deployment.yaml")).toContain("path: /livez");
    expect(read("k8s/worker-statefulset.yaml")).toContain("inspect ping -d worker@$HOSTNAME");
    expect(scaled).toEqual({
      apiVersion: "keda.sh/v1alpha1",
      kind: "ScaledObject",
      metadata: { name: "celery-worker" },
      spec: {
        scaleTargetRef: { name: (deployment as unknown as { metadata: { name: string } }).metadata.name },
        minReplicaCount: 2,
        maxReplicaCount: 20,
        cooldownPeriod: 300,
        triggers: [
          {
            type: "redis",
            metadata: { address: "redis:6379", databaseIndex: "0", listName: "celery", listLength: "50" },
          },
        ],
      },
    });
  });
});

describe("ecs/", () => {
  const json = (file: string): unknown => JSON.parse(read(`ecs/${file}`));

  test.each([
    ["web.json", "RegisterTaskDefinitionRequest"],
    ["worker.json", "RegisterTaskDefinitionRequest"],
    ["worker-scaling.json", "PutScalingPolicyRequest"],
  ])("%s is a %s", (file, shape) => {
    expect(flaws(json(file), "ecs", shape)).toEqual([]);
  });

  test("a broken copy is refused", () => {
    const broken = json("worker.json") as {
      networkMode: string;
      containerDefinitions: Record<string, unknown>[];
    };
    broken.networkMode = "vpc";
    const [container = {}] = broken.containerDefinitions;
    container["command"] = "petiole worker";
    container["stopTimeOut"] = 120;
    expect(flaws(broken, "ecs", "RegisterTaskDefinitionRequest")).toEqual(
      expect.arrayContaining([
        "/networkMode must be equal to one of the allowed values",
        "/containerDefinitions/0/command must be array",
        "/containerDefinitions/0 must NOT have additional properties",
      ]),
    );
  });

  test("no container has longer to stop than Fargate gives", () => {
    for (const file of ["web.json", "worker.json"]) {
      const { containerDefinitions } = json(file) as { containerDefinitions: { stopTimeout: number }[] };
      for (const { stopTimeout } of containerDefinitions) expect(stopTimeout).toBeLessThanOrEqual(120);
    }
  });
});

/** Every `command` in it, wherever. */
function commandsIn(value: unknown): readonly string[][] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, one]: [string, unknown]) =>
    key === "command" ? [one as string[]] : commandsIn(one),
  );
}

test("every command is one of petiole's, with options that it has", () => {
  const lists = [
    ...Object.values(services).flatMap(({ command = [], healthcheck }) => [
      command,
      healthcheck?.test.slice(1) ?? [],
    ]),
    ...["beat", "web", "worker-deployment", "worker-statefulset"].flatMap((file) =>
      commandsIn(documents(`k8s/${file}.yaml`)),
    ),
    ...["web", "worker"].map(
      (file) =>
        (JSON.parse(read(`ecs/${file}.json`)) as { containerDefinitions: { command: string[] }[] })
          .containerDefinitions[0]?.command ?? [],
    ),
    ...[
      read("deploy/supervisor/petiole.conf"),
      ...readdirSync(join(folder, "deploy/systemd")).map((unit) => read(`deploy/systemd/${unit}`)),
    ]
      .flatMap((text) => [...text.matchAll(/^(?:command|ExecStart)=(.*)$/gm)])
      .map(([, line = ""]) => line.split(" ")),
  ]
    .map((list) => (list[0] === "sh" ? (list[2] ?? "").replace("exec ", "").split(" ") : list))
    .filter(([program = ""]) => program.endsWith("petiole"));
  expect(lists).toHaveLength(14);
  for (const [, ...words] of lists) {
    const command = COMMANDS.find(({ name }) => words.includes(name));
    const flags = (command?.options ?? []).flatMap((option) => option.flags.split(/[ ,]+/));
    const given = words.filter((word) => word.startsWith("-") && word !== "-A");
    expect(given.filter((word) => !flags.includes(word))).toEqual([]);
  }
});

test("the Makefile has the targets of the documents", () => {
  const targets = [...read("Makefile").matchAll(/^([a-z-]+):/gm)].map(([, name]) => name);
  expect(targets).toEqual(
    expect.arrayContaining(
      "build up down migrate logs logs-workers inspect redis-cli shell test-tasks test-state-persistence clean".split(
        " ",
      ),
    ),
  );
});
