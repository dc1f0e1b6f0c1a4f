// A process that takes messages from a file and says so; killed by its parent.
process.on("message", (told) => void take(told));

async function take({ options, dist, queue, count, markStarted }) {
  const { openSqliteTransport } = await import(`${dist}transports/sqlite/index.js`);
  const { silentLogger } = await import(`${dist}base/logger.js`);
  const { systemClock } = await import(`${dist}base/clock.js`);
  const transport = openSqliteTransport({ ...options, logger: silentLogger, clock: systemClock });
  await transport.start(new AbortController().signal);
  const taken = [];
  const consumer = transport.consume({
    queues: [queue],
    prefetch: count,
    onBatch: async (batch) => {
      taken.push(...batch);
      if (taken.length < count) return;
      if (markStarted) await Promise.all(taken.map((one) => consumer.markStarted(one)));
      process.send(taken.map((one) => one.message.headers.id));
    },
    onDead: () => {},
    onLost: () => {},
    onState: () => {},
  });
}
