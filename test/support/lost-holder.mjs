// A worker that takes messages and is then killed. Started by `lost-holder.ts` with IPC: what it needs comes as the first message,
// `opener` being a transport's file and the function that it exports; the ids it took go back; SIGKILL follows.
async function hold({ dist, opener, options, internals, queue, count, markStarted }) {
  const { [opener.name]: open } = await import(`${dist}${opener.file}`);
  const { systemClock } = await import(`${dist}base/clock.js`);
  const { silentLogger } = await import(`${dist}base/logger.js`);
  const transport = open({ ...options, clock: systemClock, logger: silentLogger }, internals);
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
