/** Keeps what is revoked where a crash does not reach it, and shares it with the other workers. */
import type { Step } from "../../base/blueprint.ts";
import type { Revocations, StateDb } from "../../statedb/state-db.ts";
import type { WorkerContext } from "../context.ts";

export const statedbStep: Step<WorkerContext> = {
  name: "statedb",
  requires: [],
  enabled: ({ settings }) => settings.stateDb !== null,
  async start(context, signal) {
    const { app, settings, logger, revoked } = context;
    const config = settings.stateDb;
    if (config === null) return;
    const [{ openWorkerStateDb }, { StateKeeper }] = await Promise.all([
      import("../../app/state-db.ts"),
      import("../state-keeper.ts"),
    ]);
    const { clock, lamport, conf } = app;
    const opening = { config, clock, logger, clientName: conf.redisClientName };
    const db = await openWorkerStateDb(opening, settings.hostname);
    if (db === null) return;
    revoked.keepFor(config.ttlSeconds);
    const keeper = new StateKeeper({ db, revoked, clock, lamport, logger, policy: config.policy });
    context.state = keeper;
    await keeper.start(signal);
    if (settings.migrateStatedb !== null) await migrate(context, db, settings.migrateStatedb);
    const { shared } = db;
    logger.info(
      { statedb: db.location, shared, revoked: revoked.ids.size },
      "revoked tasks are kept in the state DB",
    );
  },
  async stop(context) {
    await context.state?.stop();
    context.state = null;
  },
};

async function migrate(context: WorkerContext, db: StateDb, file: string): Promise<void> {
  const { app, logger, revoked, state } = context;
  if (state?.state === "away") {
    logger.error(
      { file, statedb: db.location },
      "the file was not taken over: the state DB is away; the next start tries again",
    );
    return;
  }
  const { migrateStateFile } = await import("../../statedb/migrate.ts");
  const write = async (found: Revocations): Promise<void> => {
    await db.revoke(found);
    revoked.addAll(found);
  };
  const { count, renamed } = await migrateStateFile(file, write, app.clock.now());
  logger.info({ file, revoked: count, renamed }, "revoked tasks were taken over from a file");
}
