// The functions that the pools' suite knows by name (`PoolTask`), as a pool's `Execute` runs them. JavaScript, for the
// children of Node 20 run it too.

const success = (value) => ({ kind: "success", value, runtimeMs: 0, children: [] });

function spin() {
  for (;;) Math.random();
}

export const execute = (job, port, abort) => {
  port.onStart(process.pid);
  switch (job.task) {
    case "echo":
      // After its end has been told.
      if (job.args[0] === "then spin") process.nextTick(spin);
      return success(job.args);
    case "later":
      return new Promise((resolve) => {
        setImmediate(() => resolve(success(job.args[0])));
      });
    case "wait":
      return new Promise((resolve) => {
        const { signal } = abort;
        const end = () => resolve(success(signal.reason.constructor.name));
        signal.addEventListener("abort", end);
        if (signal.aborted) end();
      });
    case "deaf":
      return new Promise((resolve) => {
        setTimeout(() => resolve(success(null)), job.args[0]);
      });
    case "progress":
      return port.updateState("PROGRESS", { half: true }).then(() => success(null));
    case "fail": {
      const error = { type: "ValueError", module: "builtins", args: ["x"], traceback: null };
      return { kind: "failure", error, expected: false, runtimeMs: 0, children: [] };
    }
    case "spin":
      return spin();
    case "exit":
      return process.exit(job.args[0]);
    case "function":
      return success({ inside: () => {} });
    case "request":
      return success(job.request);
    default:
      throw new Error(`no function ${job.task}`);
  }
};
