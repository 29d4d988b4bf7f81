import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { tellsOfRefusedData } from "../../../../src/database/instance/damage-told.ts";
import { treeEvents } from "../../../../src/volume/sealfs/tree/tree-events.ts";

describe("what a volume's server tells", () => {
  it("closes encrypted databases where somebody got an error for stored data", () => {
    for (const kind of ["content-damaged", "entry-damaged", "entry-repeated", "folder-replaced", "inode-replaced"])
      assert.equal(tellsOfRefusedData(`${kind}: {"fileId":"AA"}`), true, kind);
  });

  it("closes nothing where a crash was settled, or for the server's own work", () => {
    for (const line of ["content-recovered: {}", "entry-finished: {}", "exchange-finished: {}", "stray-file: {}"])
      assert.equal(tellsOfRefusedData(line), false, line);
    for (const line of [
      "",
      ":",
      "sessions-kept: it failed",
      "resealing-stopped: ENOSPC",
      "fault: 7",
      "content-damaged",
    ])
      assert.equal(tellsOfRefusedData(line), false, line);
  });

  it("has only kinds that there are", () => {
    const kinds = Object.keys(treeEvents).filter((kind) => tellsOfRefusedData(`${kind}: {}`));
    assert.equal(kinds.length, 7);
  });
});
