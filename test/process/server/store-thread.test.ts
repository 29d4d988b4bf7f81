import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import { KeyManagerFolder, startServer } from "../running-server.ts";

const endStoreThread = join(import.meta.dirname, "end-store-thread.ts");
const deadlineMs = 20_000;

function runs(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

describe("a server whose store's thread fails", () => {
  it("ends with one line and not with 0, so that a service manager starts it again; what it had done is kept", async () => {
    using folder = await KeyManagerFolder.make();
    let keyId: string;
    {
      const env = { NODE_OPTIONS: `--import=${endStoreThread}` };
      await using server = await startServer(folder, [], { env });
      ({ keyId } = await server.admin.keys.create({}));
      process.kill(server.pid, "SIGUSR2");
      const startedMs = performance.now();
      while (runs(server.pid) && performance.now() - startedMs < deadlineMs)
        await new Promise((resolve) => setTimeout(resolve, 20));
      const { code, signal, stderr } = await server.kill();
      assert.deepEqual({ code, signal }, { code: 1, signal: null }, stderr);
      assert.match(
        stderr,
        /^strongroom: error: a thread of the key manager failed, so it can't answer reliably any more: [^\n]+\n$/m,
      );
      assert.equal(stderr.match(/error/g)?.length, 1, stderr);
    }
    await using again = await startServer(folder);
    assert.equal((await again.admin.keys.describe(keyId)).keyId, keyId);
  });

  it("ends with 0 at SIGTERM, which is no failure", async () => {
    using folder = await KeyManagerFolder.make();
    await using server = await startServer(folder);
    const { code, stderr } = await server.stop();
    assert.equal(code, 0);
    assert.doesNotMatch(stderr, /error/);
  });
});
