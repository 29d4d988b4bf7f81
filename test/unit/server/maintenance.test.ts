import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startMaintenance } from "../../../src/server/maintenance.ts";
import { TestKeyManager } from "../custody/key-manager.ts";

const dayMs = 24 * 60 * 60 * 1000;

describe("a server's maintenance", () => {
  it("rotates at its start what fell due while no server ran", async () => {
    const km = await TestKeyManager.make();
    const { keyId } = await km.custody.keys.create(km.admin, {});
    await km.custody.rotation.enable(km.admin, keyId, 90);
    km.nowMs += 91 * dayMs;
    await km.restart();
    const lines: string[] = [];
    const end = startMaintenance(km.custody, (line) => lines.push(line));
    await end();
    assert.equal((await km.custody.keys.describe(km.admin, keyId)).currentVersion, 2);
    assert.deepEqual(lines, []);
    await km.end();
  });

  it("writes no record where nothing is due", async () => {
    const km = await TestKeyManager.make();
    await km.custody.keys.create(km.admin, {});
    const { sequence } = await km.custody.audit.checkpoint(km.admin);
    await startMaintenance(km.custody, () => {})();
    assert.equal((await km.custody.audit.checkpoint(km.admin)).sequence, sequence + 1);
    await km.end();
  });

  it("destroys what fell due while no server ran, and leaves what still waits", async () => {
    const km = await TestKeyManager.make();
    const [gone, waits] = [await km.custody.keys.create(km.admin, {}), await km.custody.keys.create(km.admin, {})];
    await km.custody.keys.scheduleDeletion(km.admin, gone.keyId, 7);
    await km.custody.keys.scheduleDeletion(km.admin, waits.keyId, 8);
    km.nowMs += 7 * dayMs;
    await km.restart();
    await startMaintenance(km.custody, assert.fail)();
    assert.equal((await km.custody.keys.describe(km.admin, gone.keyId)).state, "destroyed");
    assert.equal((await km.custody.keys.describe(km.admin, waits.keyId)).state, "pending-deletion");
    await km.end();
  });

  it("says what could not be done, goes on to the rest, and never throws", async () => {
    const failing = (what: string) => Promise.reject(new Error(what));
    const fake = {
      rotation: { rotateDue: () => failing("no room") },
      keys: { destroyDue: () => failing("no fire") },
      imports: { expireDue: () => failing("no light") },
    };
    const lines: string[] = [];
    // Stands in for custody: only what maintenance calls, and that fails.
    await startMaintenance(fake as unknown as Parameters<typeof startMaintenance>[0], (line) => lines.push(line))();
    assert.deepEqual(lines, [
      "keys could not be rotated: no room",
      "keys could not be destroyed: no fire",
      "expired material could not be dropped: no light",
    ]);
  });

  it("leaves disabled keys alone and rotates the rest", async () => {
    const km = await TestKeyManager.make();
    const keys = [await km.custody.keys.create(km.admin, {}), await km.custody.keys.create(km.admin, {})];
    for (const { keyId } of keys) await km.custody.rotation.enable(km.admin, keyId, 90);
    await km.custody.keys.disable(km.admin, keys[0]?.keyId ?? "");
    km.nowMs += 90 * dayMs;
    await startMaintenance(km.custody, () => {})();
    const versions = (await km.custody.keys.list(km.admin)).map(({ currentVersion }) => currentVersion);
    assert.deepEqual(versions.sort(), [1, 2]);
    await km.end();
  });
});
