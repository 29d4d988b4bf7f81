/**
 * Writes rows to a database until it is killed, and prints the number of each once the database has said that it is safe:
 *
 *   node writer.ts sqlite|level FOLDER FIRST
 *
 * Ends with code 3 at the first error, such as a file system that has gone.
 */
import { writeSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { ClassicLevel } from "classic-level";
import { rowValue } from "./row-value.ts";

const [kind, folder = "", first = "1"] = process.argv.slice(2);
const put = kind === "sqlite" ? sqlite() : await level();
try {
  for (let row = Number(first); ; row++) {
    await put(row, rowValue(row));
    writeSync(1, `${row}\n`);
  }
} catch {
  process.exit(3);
}

function sqlite(): (row: number, value: Buffer) => void {
  const database = new DatabaseSync(join(folder, "rows.sqlite"));
  database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 50");
  database.exec("CREATE TABLE IF NOT EXISTS rows (row INTEGER PRIMARY KEY, value BLOB)");
  const insert = database.prepare("INSERT INTO rows VALUES (?, ?)");
  return (row, value) => void insert.run(row, value);
}

async function level(): Promise<(row: number, value: Buffer) => Promise<void>> {
  const options = { valueEncoding: "buffer", writeBufferSize: 64 * 1024 } as const;
  const database = new ClassicLevel<string, Buffer>(join(folder, "level"), options);
  await database.open();
  return (row, value) => database.put(String(row), value, { sync: true });
}
