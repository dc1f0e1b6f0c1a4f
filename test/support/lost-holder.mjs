// A worker that takes messages and is then killed. Started by tests with IPC: `{dist, options, queue, count, markStarted}`
// comes as the first message; the ids it took go back; SIGKILL follows.
async function hold({ dist, options, queue, count, markStarted }) {
  const { openRedisTransport } = await import(`${dist}transports/redis/index.js`);
  const { systemClock } = await import(`${dist}base/clock.js`);
  const { silentLogger } = await import(`${dist}base/logger.js`);
  const transport = openRedisTransport(
    { ...options, clock: systemClock, logger: silentLogger },
    options.internals,
  );
  await transport.start(new AbortController().signal);
  const taken = [];
  const consumer = transport.consume({
    queues: [queue],
    prefetch: count,
    onBatch: async (deliveries) => {
      taken.push(...deliveries);
      if (taken.length < count) return;
      if (markStarted) await Promise.all(taken.map((one) => consumer.markStarted(one)));
      process.send(taken.map((one) => one.message.headers.id));
    },
    onDead: () => {},
    onLost: () => {},
    onState: () => {},
  });
}

process.once("message", (message) => void hold(message));
