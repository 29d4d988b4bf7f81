import { closeSync, constants, openSync } from "node:fs";
import { Socket } from "node:net";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { loadLibc } from "./libc.ts";
import { makeMemoryFolder } from "./memory-folder.ts";

/** A way for a child's messages that outlasts their reader. */
export interface LastingOutput {
  /** For the child's standard output and error. */
  readonly writer: number;
  /** Ends when the last process that holds the writer has ended. */
  readonly reader: Readable;
  /** Closes our copy of the writer; call it once the child has been started. */
  handedOver(): void;
}

/**
 * A pipe without a name, of which the child holds the reading end as well: what it prints after we were killed goes nowhere. On a
 * plain pipe its next message would kill it (SIGPIPE), in the midst of what it has to do when we are gone.
 *
 * @param whenFull - What a write does when 64 KiB wait that nobody reads: `refuse` fails with EAGAIN, for a child that knows of it.
 */
export async function lastingOutput(whenFull: "wait" | "refuse" = "wait"): Promise<LastingOutput> {
  const libc = await loadLibc();
  const folder = makeMemoryFolder();
  try {
    const path = join(folder.path, "output");
    libc.makeFifo(path, 0o600);
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    // Read and write (fifo(7)): so the writer is a reader, too.
    const writer = openSync(path, constants.O_RDWR | (whenFull === "refuse" ? constants.O_NONBLOCK : 0));
    const reader = new Socket({ fd, readable: true, writable: false });
    reader.on("error", () => {});
    return { writer, reader, handedOver: () => closeSync(writer) };
  } finally {
    folder.remove();
  }
}
