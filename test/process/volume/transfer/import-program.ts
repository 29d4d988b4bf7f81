/** Imports the export on standard input: `import-program.ts FOLDER [mine]`, `mine` takes all files over; the data key is on descriptor 3. */
import { readFileSync } from "node:fs";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { importVolume } from "../../../../src/volume/transfer/import-volume.ts";

const [folder = "", owners] = process.argv.slice(2);
using dataKey = SecretBuffer.take(readFileSync(3));
await importVolume({ folder }, dataKey, process.stdin, { owners: owners === "mine" ? "mine" : "keep" });
