/** A process that works on a mount: whoever owns a volume must not touch it synchronously. */
import { writeFileSync } from "node:fs";
import { clear, type Measure, measured } from "./workloads.ts";

export interface Order {
  readonly measure: Measure | "clear";
  readonly folder: string;
  /** Whether the kernel may be told to drop its caches. */
  readonly mayDrop: boolean;
}

process.on("message", async ({ measure, folder, mayDrop }: Order) => {
  const dropCaches = () => {
    if (mayDrop) writeFileSync("/proc/sys/vm/drop_caches", "3");
  };
  if (measure === "clear") {
    clear(folder);
    process.send?.(0);
  } else process.send?.(await measured(measure, folder, dropCaches));
});
