import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { readTable } from "../../../../../src/volume/sealfs/keys/reading.ts";
import type { StoreInTest } from "./store-in-test.ts";
import { begin, makeZone, write, zonedStore } from "./zoned-store.ts";

/** Zones whose envelopes are in any file of the key table. */
function zonesIn(store: StoreInTest): ReadonlySet<string> {
  const found = new Set<string>();
  for (const name of readdirSync(store.folder).filter((one) => one.startsWith("keys"))) {
    if (name === "keys.lock" || name === "keys.spare") continue;
    const { records, recordKey } = readTable(readFileSync(join(store.folder, name)), store.tableKey);
    recordKey[Symbol.dispose]();
    for (const record of records) {
      const zones = record.type === "zoneMade" ? [record] : record.type === "zones" ? record.zones : [];
      for (const { zoneId } of zones) found.add(zoneId.toString("hex"));
    }
  }
  return found;
}

describe("the keys of a folder that was removed", () => {
  for (const end of ["in good order", "with a file that could not be synced"] as const)
    it(`are in no file once the volume was closed ${end}`, async (t) => {
      const store = await zonedStore(t);
      const volume = await store.open();
      const [kept, gone] = [makeZone(volume, "kept"), makeZone(volume, "gone")];
      write(volume, "gone", "file", Buffer.from("content"));
      const { node } = volume.tree.lookup(1, "gone");
      volume.tree.unlink(node, "file");
      volume.tree.forget(node, 1);
      volume.tree.removeDirectory(1, "gone");
      assert.equal(zonesIn(store).has(gone.toString("hex")), true, "its envelope is there until then");
      if (end !== "in good order") {
        const handle = begin(volume, "kept", "unsynced", Buffer.from("content"));
        const content = volume.tree.contentOf(handle);
        content.file.sync = () => {
          throw Object.assign(new Error("the disk is gone"), { code: "EIO" });
        };
        assert.throws(() => volume.tree.sync(handle, false));
      }
      volume.close();
      const left = zonesIn(store);
      assert.equal(left.has(gone.toString("hex")), false);
      assert.equal(left.has(kept.toString("hex")), true);
      const again = await store.open();
      assert.equal(again.keys.table.zone(gone), undefined);
      assert.equal(again.wasClean, end === "in good order");
      again.close();
    });
});
