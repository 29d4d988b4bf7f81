import assert from "node:assert/strict";
import { it } from "node:test";
import { checkZone, noFindings } from "../../../../../src/volume/sealfs/server/zone-check.ts";
import { makeZone, write, zonedStore } from "./zoned-store.ts";

it("a check of a zone lets requests be answered while files are moved, and counts each file once", async (t) => {
  const store = await zonedStore(t);
  const volume = await store.open();
  const zoneId = makeZone(volume, "zone");
  for (let at = 0; at < 10; at++) write(volume, "zone", `file-${at}`, Buffer.alloc(5000, at));
  const { tree, keys } = volume;
  const zone = keys.table.zone(zoneId) ?? assert.fail();
  const { node } = tree.lookup(1, "zone");
  for (const mostMoves of [0, 1, 30, 1000]) {
    const found = noFindings();
    const steps = checkZone({ tree, keys, zone }, found);
    let pauses = 0;
    for (; steps.next().done !== true; pauses += 1) {
      const [from, to] = pauses % 2 === 0 ? ["file-0", "moved"] : ["moved", "file-0"];
      if (pauses < mostMoves) tree.rename(node, from, node, to, 0);
    }
    assert.equal(found.bytes.get(1), 10 * (8192 + 4096), `${mostMoves} moves`);
    assert.ok(pauses >= 10 && (mostMoves < 30 || pauses >= 20), `${pauses} pauses`);
    if (pauses % 2 === 1 && mostMoves >= pauses) tree.rename(node, "moved", node, "file-0", 0);
    else if (mostMoves % 2 === 1) tree.rename(node, "moved", node, "file-0", 0);
  }
  volume.close();
});
