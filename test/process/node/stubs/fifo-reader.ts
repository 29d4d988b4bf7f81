/** Reads a FIFO once, to its end, and insists that it is one. `fifo-reader.ts PATH`. */
import { readFileSync, statSync } from "node:fs";

const path = process.argv[2] ?? "";
if (!statSync(path).isFIFO()) throw new Error(`${path} is not a FIFO`);
process.stdout.write(readFileSync(path));
