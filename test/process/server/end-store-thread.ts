/** Loaded into a server before its program: at SIGUSR2 its store's thread ends as if it had failed. */
import { syncBuiltinESMExports } from "node:module";
import threads from "node:worker_threads";

const { Worker } = threads;
const started: InstanceType<typeof Worker>[] = [];
threads.Worker = class extends Worker {
  constructor(...args: ConstructorParameters<typeof Worker>) {
    super(...args);
    started.push(this);
  }
};
syncBuiltinESMExports();
process.on("SIGUSR2", () => {
  for (const worker of started) void worker.terminate();
});
