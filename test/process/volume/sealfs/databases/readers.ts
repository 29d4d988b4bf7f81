import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { ClassicLevel } from "classic-level";

/** What the databases of writer.ts hold, in order of their rows, once each has been opened and has found itself whole. */
export const readers = {
  sqlite(folder: string) {
    using database = new DatabaseSync(join(folder, "rows.sqlite"));
    const check = database.prepare("PRAGMA integrity_check").get() as { integrity_check: string };
    assert.equal(check.integrity_check, "ok");
    const rows = database.prepare("SELECT row, value FROM rows ORDER BY row").all();
    return Promise.resolve(rows.map(({ row, value }) => [Number(row), Buffer.from(value as Uint8Array)] as const));
  },
  async level(folder: string) {
    const database = new ClassicLevel<string, Buffer>(join(folder, "level"), { valueEncoding: "buffer" });
    const rows = await database.iterator().all();
    await database.close();
    return rows.map(([row, value]) => [Number(row), value] as const).sort(([one], [other]) => one - other);
  },
} as const;
