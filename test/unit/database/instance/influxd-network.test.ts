import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { openInfluxdNetwork } from "../../../../src/database/instance/influxd-network.ts";

const folder = mkdtempSync(join(tmpdir(), "strongroom-influxd-network-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** In the place of unshare. */
function program(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  return path;
}

describe("the network of influxd", () => {
  const socketFolder = join(folder, "socket");

  it("is loopback for who cannot make one", async () => {
    const denied = program("denied", "echo 'unshare: unshare failed: Operation not permitted' >&2; exit 1");
    assert.equal((await openInfluxdNetwork(socketFolder, denied)).kind, "loopback");
    assert.equal((await openInfluxdNetwork(socketFolder, join(folder, "none"))).kind, "loopback");
  });

  for (const reason of ["No space left on device", "Cannot allocate memory", "Resource temporarily unavailable"])
    it(`is refused, and not loopback, when it cannot be made at the moment: ${reason}`, async () => {
      const busy = program("busy", `echo 'unshare: unshare failed: ${reason}' >&2; exit 1`);
      await assert.rejects(openInfluxdNetwork(socketFolder, busy), { code: "INFLUXD_UNUSABLE" });
      assert.ok(!existsSync(socketFolder));
    });

  it("is its own for who can", async () => {
    const network = await openInfluxdNetwork(socketFolder, program("able", "exit 0"));
    assert.equal(network.kind, "own");
    network.close();
    assert.ok(!existsSync(socketFolder));
  });
});
