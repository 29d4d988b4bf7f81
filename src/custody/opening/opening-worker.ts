import { parentPort } from "node:worker_threads";
import { openPacked } from "./packed-openings.ts";

/** The thread's side: blocks of openings in, blocks of what was in the boxes out, in the same order. */
parentPort?.on("message", (packed: ArrayBuffer) => {
  const opened = openPacked(packed);
  parentPort?.postMessage(opened, [opened]);
});
