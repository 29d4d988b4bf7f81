import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Zone, ZoneProtection } from "../../../../../src/volume/sealfs/keys/zone.ts";
import { lockedFolders } from "../../../../../src/volume/sealfs/server/without-folders.ts";

function zone(path: string, protection: ZoneProtection, destroyed = false): Zone {
  const names = path === "" ? [] : path.split("/");
  return {
    ...{ zoneId: Buffer.alloc(16), protection, path: names, madeAtMs: 0, destroyed },
    ...{ highestGeneration: 1, generations: [] },
  };
}

describe("folders that cannot be read without the master key", () => {
  it("are the outermost of sealed zones", () => {
    const zones = [
      zone("", "table-sealed"),
      zone("data/data/enc", "sealed"),
      zone("data/data/enc/autogen/1", "sealed"),
      zone("data/wal/enc", "sealed"),
      zone("data/data/encore/rp/1", "sealed"),
      zone("data/data/plain", "plain"),
    ];
    const found = lockedFolders(zones).map((path) => path.join("/"));
    assert.deepEqual(found, ["data/data/enc", "data/wal/enc", "data/data/encore/rp/1"]);
  });

  it("are neither destroyed zones nor the volume itself", () => {
    assert.deepEqual(lockedFolders([zone("", "sealed"), zone("a", "sealed", true), zone("b", "plain")]), []);
  });
});
