/**
 * RocksDB in a process of its own:
 *
 *   node rocksdb-program.ts write FOLDER FIRST    writes rows until it is killed, prints the number of each once it is safe
 *   node rocksdb-program.ts read FOLDER           prints each row: number, space, value in base64
 *
 * Ends with code 3 at the first error of a write, such as a file system that has gone.
 */
import { writeSync } from "node:fs";
import { rowValue } from "../sealfs/databases/row-value.ts";
import { openRocks } from "./rocksdb-library.ts";

const [verb, folder = "", first = "1"] = process.argv.slice(2);
const database = openRocks(folder);
if (verb === "read") {
  for (const [key, value] of database.rows()) console.log(`${key.readUInt32BE()} ${value.toString("base64")}`);
  database.close();
} else
  try {
    for (let row = Number(first); ; row++) {
      const key = Buffer.alloc(4);
      key.writeUInt32BE(row);
      database.put(key, rowValue(row));
      writeSync(1, `${row}\n`);
    }
  } catch {
    process.exit(3);
  }
