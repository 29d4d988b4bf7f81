import { parentPort } from "node:worker_threads";
import { openPacked } from "./packed-openings.ts";

// The pool in use when this thread's heap collects its young grows old with it, and is freed only when all of the heap is
// collected, which so small a heap hardly ever needs: at Node's 64 KiB that is 9 MiB in 200,000 calls, at 8 KiB one.
Buffer.poolSize = 8 * 1024;

/** The thread's side: blocks of openings in, blocks of what was in the boxes out, in the same order. */
parentPort?.on("message", (packed: ArrayBuffer) => {
  const opened = openPacked(packed);
  parentPort?.postMessage(opened, [opened]);
});
