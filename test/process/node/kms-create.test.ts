import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { type Outcome, runStrongroom, TemporaryFolder } from "../running-server.ts";
import { UpstreamKms, userName } from "../upstream-kms.ts";

async function done(outcome: Promise<Outcome>): Promise<Outcome> {
  const ended = await outcome;
  assert.equal(ended.code, 0, ended.stderr);
  return ended;
}

/** A host with integration `kms-1` in a store. */
class Host implements Disposable {
  readonly folder = new TemporaryFolder();
  readonly store: string = join(this.folder.path, "integrations");
  readonly #unlockFile: string = this.folder.file("unlock", "an unlock secret of more than 32 bytes\n");

  get #place(): readonly string[] {
    return ["--store", this.store, "--unlock-file", this.#unlockFile];
  }

  integrate(upstream: UpstreamKms): Promise<Outcome> {
    const settings = [...upstream.options, "--endpoint", upstream.endpoint, "--slot", "key-file"];
    return runStrongroom(["integration", "create", "kms-1", ...settings, ...this.#place]);
  }

  create(name: string, ...command: string[]): Promise<Outcome> {
    const node = ["--kind", "geth", "--network", "net-1", "--dir", this.node(name), "--light-kdf"];
    const argv = command.length === 0 ? [] : ["--", ...command];
    return runStrongroom(["node", "create", name, "--integration", "kms-1", ...this.#place, ...node, ...argv]);
  }

  launch(name: string): Promise<Outcome> {
    return runStrongroom(["node", "launch", this.node(name), "--allow-unsafe"]);
  }

  destroy(name: string, ...more: string[]): Promise<Outcome> {
    return runStrongroom(["node", "destroy", this.node(name), "--yes", ...more]);
  }

  deleteIntegration(): Promise<Outcome> {
    return runStrongroom(["integration", "delete", "kms-1", "--store", this.store]);
  }

  node(name: string): string {
    return join(this.folder.path, name);
  }

  [Symbol.dispose](): void {
    this.folder[Symbol.dispose]();
  }
}

const digits = ["sh", "-c", 'echo "$(wc -c < "$0") digits"', "{key:nodekey}"];

describe("strongroom node create --integration", () => {
  it("makes a node under a KMS that launches, and that is gone from disk and from its integration once destroyed", async () => {
    await using upstream = await UpstreamKms.start();
    using host = new Host();
    await done(host.integrate(upstream));
    const created = await done(host.create("node-1", ...digits));
    assert.match(created.stdout, /^nodekey: enode:\/\//m);
    assert.doesNotMatch(created.stderr, /next:/);
    assert.equal((await done(host.launch("node-1"))).stdout, "64 digits\n");
    assert.match((await host.deleteIntegration()).stderr, /integration kms-1 is used by .*node-1/);
    const destroyed = await done(host.destroy("node-1"));
    assert.match(destroyed.stdout, /node-1 of net-1 is destroyed/);
    assert.equal(existsSync(host.node("node-1")), false);
    assert.equal(existsSync(join(host.store, "kms-1.nodes")), false);
    await done(host.deleteIntegration());
    assert.deepEqual(await upstream.record(), [
      "kms:GenerateDataKeyWithoutPlaintext done",
      "kms:Decrypt done",
      "kms:Decrypt done",
      "kms:GenerateDataKeyWithoutPlaintext done",
    ]);
  });

  it("makes no key while the KMS refuses or is away, and goes on with the same call once it agrees", async () => {
    await using upstream = await UpstreamKms.start();
    using host = new Host();
    await done(host.integrate(upstream));
    await upstream.admin.principals.disable(userName);
    const refused = await host.create("node-1", ...digits);
    assert.equal(refused.code, 3, refused.stderr);
    assert.match(refused.stderr, /access refused/);
    await upstream.admin.principals.enable(userName);
    await upstream.stop();
    const away = await host.create("node-1", ...digits);
    assert.equal(away.code, 4, away.stderr);
    assert.equal(existsSync(join(host.node("node-1"), "sealed")), false);
    await upstream.restart();
    await done(host.create("node-1", ...digits));
    assert.equal((await done(host.launch("node-1"))).stdout, "64 digits\n");
  });

  it("destroys nothing while no KMS can put it on record, unless told to go on without", async () => {
    await using upstream = await UpstreamKms.start();
    using host = new Host();
    await done(host.integrate(upstream));
    await done(host.create("node-1", ...digits));
    const dataKey = readFileSync(join(host.node("node-1"), "data-key.box"));
    await upstream.stop();
    assert.equal((await host.destroy("node-1")).code, 4);
    assert.deepEqual(readFileSync(join(host.node("node-1"), "data-key.box")), dataKey);
    await done(host.destroy("node-1", "--without-record"));
    assert.equal(existsSync(host.node("node-1")), false);
  });

  it("suggests a command that every geth takes, and what older ones take with this node's own account", async () => {
    await using upstream = await UpstreamKms.start();
    using host = new Host();
    await done(host.integrate(upstream));
    const { stdout } = await done(host.create("node-1"));
    const manifest = readFileSync(join(host.node("node-1"), "node.toml"), "utf8");
    const account = /^account: (0x[0-9a-f]{40})$/m.exec(stdout)?.[1];
    for (const text of [stdout, manifest]) {
      assert.match(text, /^(?:# )?argv = \["geth",.*"--keystore","\{keystore\}"\]$/m);
      const older = /^(?:# )?for geth before 1\.15, .* add: (\[.*\])$/m.exec(text)?.[1] ?? "";
      assert.deepEqual(JSON.parse(older), ["--unlock", account, "--password", "{key:password}"]);
    }
  });

  it("refuses an integration that is not there, before anything is written", async () => {
    await using upstream = await UpstreamKms.start();
    using host = new Host();
    assert.equal((await host.create("node-1")).code, 1);
    await done(host.integrate(upstream));
    assert.equal(existsSync(host.node("node-1")), false);
    assert.deepEqual(await upstream.record(), []);
  });
});
