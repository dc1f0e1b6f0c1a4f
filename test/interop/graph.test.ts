/** The graph of what a task has sent, as Celery draws it. */
import { type AnySignature, chain, group } from "petiole";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Fleet, startFleet } from "./harness.ts";

let fleet: Fleet;
beforeAll(async () => {
  fleet = await startFleet();
  await Promise.all([
    fleet.worker({ hostname: "ts@graph", queues: ["ts"], concurrency: 2 }),
    fleet.pythonWorker({ name: "py@graph", queues: ["py"], concurrency: 2 }),
  ]);
});
afterAll(() => fleet?.stop());

describe.each(["ts", "py"])("of tasks that a worker of %s ran", (queue) => {
  const echo = (...given: readonly unknown[]): AnySignature =>
    fleet.app.signature("demo.wrap", given as never, { queue }) as AnySignature;

  test("toDot, getLeaf and iterdeps give what Python's do", async () => {
    const canvas = chain(
      echo("a"),
      echo("b"),
      group([chain(echo("c"), echo("d")), echo("e").link(echo("f"))]),
    ) as AnySignature;
    const sent = await canvas.applyAsync([]);
    await sent.get({ timeout: 20 });
    const first = sent.parent?.parent as typeof sent;
    // Callbacks of members are not waited for by the group.
    await first.getLeaf();

    const theirs = await fleet.python.value(
      `
      import io
      result = AsyncResult(args)
      text = io.StringIO()
      result.graph.to_dot(text)
      return [
          text.getvalue(),
          result.get_leaf(),
          [[parent and parent.id, node.id] for parent, node in result.iterdeps()],
      ]`,
      first.id,
    );
    const graph = await first.graph();
    const pairs: unknown[] = [];
    for await (const [parent, result] of first.iterdeps()) pairs.push([parent?.id ?? null, result.id]);
    expect([graph.toDot(), await first.getLeaf(), pairs]).toEqual(theirs);
    expect(graph.results.length).toBe(6);
    expect(graph.results.map(({ id }) => id)).toContain(sent.id);
  });

  test("of what is not over it is refused, unless what there is will do", async () => {
    const held = await fleet.app.sendTask("demo.hold", [`gate-${queue}`], { queue });
    await expect(held.graph()).rejects.toMatchObject({ code: "PET_RESULT_INCOMPLETE" });
    const graph = await held.graph({ intermediate: true });
    const theirs = await fleet.python.value(
      `
      import io
      text = io.StringIO()
      AsyncResult(args).build_graph(intermediate=True).to_dot(text)
      return text.getvalue()`,
      held.id,
    );
    expect(graph.toDot()).toBe(theirs);
    await fleet.open(`gate-${queue}`);
    await held.get({ timeout: 20 });
    expect((await held.graph()).edges).toEqual([]);
  });
});
