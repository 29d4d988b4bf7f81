import assert from "node:assert/strict";
import { cpSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { KeyManagerClient } from "../../../src/client/client.ts";
import { ClientError } from "../../../src/client/errors.ts";
import { KeyManagerFolder, type RunningServer, runStrongroom, snapshot, startServer } from "../running-server.ts";
import { assertNoStack, assertOneClearLine } from "./one-clear-line.ts";
import { SmallDisk } from "./small-disk.ts";

function notWritten(error: unknown): true {
  assert.ok(error instanceof ClientError, String(error));
  assert.deepEqual([error.serverCode, error.status, error.exitCode], ["RECORD_NOT_WRITTEN", 503, 1]);
  return true;
}

async function readiness(server: RunningServer): Promise<[status: number, text: string]> {
  const answer = await fetch(`http://${server.addresses.metrics}/readyz`);
  return [answer.status, await answer.text()];
}

describe("on a full disk", { skip: SmallDisk.unavailable() }, () => {
  it("every request is refused and nothing half done, until there is room again, without a restart", async () => {
    using disk = SmallDisk.mount(4);
    using manager = await KeyManagerFolder.make(disk.path);
    await using server = await startServer(manager, ["--metrics", "127.0.0.1:0"]);
    const { admin } = server;
    const { keyId } = await admin.keys.create({ alias: "alias/nodes" });
    using node = server.clientOf(await server.enrol("node0", keyId));
    using doomed = server.clientOf(await server.enrol("doomed", keyId));
    const context = { node: "node0" };
    const { wrapped } = await node.generateDataKey({ key: keyId, context });
    assert.deepEqual(await readiness(server), [200, "ready\n"]);

    disk.fill();
    const requests: Readonly<Record<string, () => Promise<unknown>>> = {
      create: () => admin.keys.create({ alias: "alias/refused" }),
      disable: () => admin.keys.disable(keyId),
      revoke: () => admin.nodes.revoke("doomed"),
      token: () => admin.nodes.createToken({ name: "late", identity: "file" }),
      generate: () => node.generateDataKey({ key: keyId, context }),
      unwrap: () => node.unwrap({ wrapped, context }),
      read: () => admin.audit.read({ after: 0, limit: 10 }),
      list: () => admin.keys.list(),
      denied: () => node.generateDataKey({ key: keyId, context: { node: "another" } }),
    };
    for (const request of Object.values(requests)) await assert.rejects(request, notWritten);
    const [status, text] = await readiness(server);
    assert.equal(status, 503);
    assert.match(text, /^not ready: the audit record could not be written: .*full\n$/);
    assert.equal((await fetch(`http://${server.addresses.metrics}/healthz`)).status, 200);

    disk.free();
    using opened = await node.unwrap({ wrapped, context }).then(({ plaintext }) => plaintext);
    assert.equal(opened.byteLength, 32);
    assert.deepEqual(await readiness(server), [200, "ready\n"]);
    assert.deepEqual(
      (await admin.keys.list()).map(({ state, aliases }) => [state, aliases]),
      [["enabled", ["alias/nodes"]]],
    );
    assert.deepEqual((await admin.nodes.list()).map(({ name, state }) => [name, state]).sort(), [
      ["doomed", "enabled"],
      ["node0", "enabled"],
    ]);
    await admin.nodes.revoke("doomed");
    await assert.rejects(() => doomed.whoami(), { code: "REFUSED" });
    assert.equal((await admin.audit.verify()).ok, true);
    assertNoStack(server.output.stderr);
  });

  it("readiness comes back by itself, without a request", async () => {
    using disk = SmallDisk.mount(4);
    using manager = await KeyManagerFolder.make(disk.path);
    await using server = await startServer(manager, ["--metrics", "127.0.0.1:0"]);
    disk.fill();
    await assert.rejects(() => server.admin.keys.create({}), notWritten);
    assert.equal((await readiness(server))[0], 503);
    disk.free();
    while ((await readiness(server))[0] !== 200) await new Promise((resolve) => setTimeout(resolve, 100));
    const { code, stderr } = await server.stop();
    assert.equal(code, 0, stderr);
  });

  it("a disk that fills up under load loses no acknowledged change, also over a kill", async () => {
    using disk = SmallDisk.mount(2);
    using manager = await KeyManagerFolder.make(disk.path);
    const made: string[] = [];
    {
      await using server = await startServer(manager);
      const description = "x".repeat(4000);
      const fill = async () => {
        using admin = KeyManagerClient.overSocket(server.addresses.socket);
        for (;;) made.push((await admin.keys.create({ description })).keyId);
      };
      for (const outcome of await Promise.allSettled([fill(), fill(), fill(), fill()]))
        notWritten(outcome.status === "rejected" ? outcome.reason : undefined);
      assert.ok(made.length > 50, `only ${made.length} keys fitted`);
    }
    using elsewhere = SmallDisk.mount(16);
    const copy = join(elsewhere.path, "km");
    cpSync(manager.dataDir, copy, { recursive: true, filter: (path) => !path.endsWith(".sock") });
    await using server = await startServer({ dataDir: copy, unlockFile: manager.unlockFile });
    const kept = new Set((await server.admin.keys.list()).map(({ keyId }) => keyId));
    for (const keyId of made) assert.ok(kept.has(keyId), `${keyId} was acknowledged and is lost`);
    assert.equal(kept.size, made.length);
    assert.equal((await server.admin.audit.verify()).ok, true);
  });

  it("serve and other commands end with one clear line; the folder opens once there is room", async () => {
    using disk = SmallDisk.mount(4);
    using manager = await KeyManagerFolder.make(disk.path);
    disk.fill();
    const outcome = await runStrongroom(["serve", ...manager.options, "--native", "127.0.0.1:0"]);
    assertOneClearLine(outcome, 1, /full|No space|ENOSPC/i);
    assertOneClearLine(await runStrongroom(["key", "list", ...manager.options]), 1, /full|No space|ENOSPC/i);
    disk.free();
    await using server = await startServer(manager);
    assert.equal((await server.admin.audit.verify()).ok, true);
  });

  it("init ends with one clear line and leaves nothing behind; it works once there is room", async () => {
    using disk = SmallDisk.mount(4);
    using manager = await KeyManagerFolder.make();
    const init = ["init", "--data", join(disk.path, "km"), "--unlock-file", manager.unlockFile, "--slot", "key-file"];
    disk.fill();
    assertOneClearLine(await runStrongroom(init), 1, /km cannot be written.*(full|ENOSPC)/);
    assert.deepEqual(Object.keys(snapshot(disk.path)), ["ballast"]);
    disk.free();
    assert.equal((await runStrongroom(init)).code, 0);
  });

  it("a key slot is not added, and those there are stay", async () => {
    using disk = SmallDisk.mount(4);
    using manager = await KeyManagerFolder.make(disk.path);
    using other = await KeyManagerFolder.make();
    disk.fill();
    const atFirst = snapshot(manager.dataDir);
    const more = ["--new-file", other.unlockFile, "--kind", "key-file"];
    assertOneClearLine(
      await runStrongroom(["key", "slot", "add", ...manager.options, ...more]),
      1,
      /root\.slots cannot be changed: .*(full|ENOSPC)/,
    );
    assert.deepEqual(snapshot(manager.dataDir), atFirst);
  });
});
