import assert from "node:assert/strict";
import { chmodSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { type Outcome, runStrongroom, snapshot, TemporaryFolder } from "../running-server.ts";
import { SecretSearch } from "../secrets/planted-secrets.ts";
import { strongroomJson, UpstreamKms, userName } from "../upstream-kms.ts";

const nodekey = `${"0".repeat(62)}2a`;

/** A host with a store of integrations, and a node on it whose data key is under a KMS. */
class Host implements Disposable {
  readonly folder = new TemporaryFolder();
  readonly unlockFile: string = this.folder.file("unlock", "an unlock secret of more than 32 bytes\n");
  readonly store: string = join(this.folder.path, "integrations");

  get place(): readonly string[] {
    return ["--store", this.store, "--unlock-file", this.unlockFile];
  }

  integrate(upstream: UpstreamKms, name = "kms-1", ...more: string[]): Promise<Outcome> {
    const slot = ["--slot", "key-file"];
    const endpoint = more.includes("--endpoint") ? [] : ["--endpoint", upstream.endpoint];
    return runStrongroom([
      "integration",
      "create",
      name,
      ...upstream.options,
      ...endpoint,
      ...this.place,
      ...slot,
      ...more,
    ]);
  }

  init(name: string, ...more: string[]): Promise<Outcome> {
    const at = ["--kind", "geth", "--network", "net-1", "--dir", this.node(name), ...this.place, ...more];
    return runStrongroom([
      "node",
      "init",
      name,
      "--integration",
      "kms-1",
      ...at,
      "--",
      "/bin/sh",
      "-c",
      'cat "$0"',
      "{key:nodekey}",
    ]);
  }

  node(name: string): string {
    return join(this.folder.path, name);
  }

  async seal(name: string): Promise<Outcome> {
    return runStrongroom(["node", "seal", this.node(name), this.folder.file(`${name}/nodekey`, `${nodekey}\n`)]);
  }

  /** Machines differ in swap and core dumps; what matters here is the KMS. */
  launch(name: string, env: Readonly<Record<string, string>> = {}): Promise<Outcome> {
    return runStrongroom(["node", "launch", this.node(name), "--allow-unsafe"], { env });
  }

  [Symbol.dispose](): void {
    this.folder[Symbol.dispose]();
  }
}

async function done(outcome: Promise<Outcome>): Promise<Outcome> {
  const ended = await outcome;
  assert.equal(ended.code, 0, ended.stderr);
  return ended;
}

describe("a node whose data key is under a KMS", () => {
  it("starts while the KMS agrees, is refused in each way that it can be cut off, and starts again when restored", async () => {
    await using upstream = await UpstreamKms.start();
    using host = new Host();
    await done(host.integrate(upstream));
    await done(host.init("node-1"));
    await done(host.seal("node-1"));
    const starts = async () => assert.equal((await done(host.launch("node-1"))).stdout.trim(), nodekey);
    await starts();
    const sealed = snapshot(host.node("node-1"));
    const recorded = await upstream.record();
    assert.deepEqual(recorded, ["kms:GenerateDataKeyWithoutPlaintext done", "kms:Decrypt done", "kms:Decrypt done"]);

    const { admin } = upstream;
    const policy = await admin.policies.get("alias/kaleido");
    const denied = JSON.parse(policy);
    denied.Statement.push({ Effect: "Deny", Principal: "*", Action: "kms:Decrypt", Resource: "*" });
    const cuts: readonly (readonly [string, () => Promise<unknown>, () => Promise<unknown>])[] = [
      ["the key is disabled", () => admin.keys.disable("alias/kaleido"), () => admin.keys.enable("alias/kaleido")],
      ["the user is disabled", () => admin.principals.disable(userName), () => admin.principals.enable(userName)],
      [
        "the access key is disabled",
        () => admin.accessKeys.setState(upstream.apiKey, "disabled"),
        () => admin.accessKeys.setState(upstream.apiKey, "enabled"),
      ],
      [
        "the key policy denies",
        () => admin.policies.put("alias/kaleido", JSON.stringify(denied)),
        () => admin.policies.put("alias/kaleido", policy),
      ],
    ];
    for (const [what, cut, restore] of cuts) {
      await cut();
      const { code, stdout, stderr } = await host.launch("node-1");
      assert.equal(code, 3, `${what}: ${stderr}`);
      assert.match(stderr, /access refused/, what);
      assert.equal(stdout, "", what);
      assert.deepEqual(snapshot(host.node("node-1")), sealed);
      await restore();
      await starts();
    }

    await upstream.stop();
    const away = await host.launch("node-1");
    assert.equal(away.code, 4, away.stderr);
    assert.match(away.stderr, /unreachable/);
    assert.equal(away.stdout, "");
    await upstream.restart();
    await starts();
    const refused = (await upstream.record()).filter(
      (line) => line.startsWith("kms:Decrypt") && !line.endsWith("done"),
    );
    assert.ok(refused.length >= 2, "each refusal of a known caller is on the KMS's record");

    const search = new SecretSearch([{ name: "the API secret", bytes: upstream.secretBytes }]);
    search.folder(host.folder.path);
    assert.deepEqual(search.sightings, []);
  });

  it("does not take another node's data key, nor one whose blob or settings were altered", async () => {
    await using upstream = await UpstreamKms.start();
    using host = new Host();
    await done(host.integrate(upstream));
    for (const name of ["node-1", "node-2"]) {
      await done(host.init(name));
      await done(host.seal(name));
    }
    const box = (name: string) => join(host.node(name), "data-key.box");
    const own = readFileSync(box("node-1"));
    for (const wrong of [readFileSync(box("node-2")), own.subarray(0, -1), Buffer.from(own).fill(0, 40, 60)]) {
      writeFileSync(box("node-1"), wrong);
      const { code, stdout, stderr } = await host.launch("node-1");
      assert.ok(code === 5 || code === 3, stderr);
      assert.equal(stdout, "");
    }
    writeFileSync(box("node-1"), own);
    const file = join(host.store, "kms-1.json");
    const settings = readFileSync(file, "utf8");
    writeFileSync(file, settings.replace("alias/kaleido", "alias/another"));
    const altered = await host.launch("node-1");
    assert.equal(altered.code, 5, altered.stderr);
    writeFileSync(file, settings);
    await done(host.launch("node-1"));
  });

  it("reads its unlock secret from a systemd credential, and refuses one that others can read or that opens nothing", async () => {
    await using upstream = await UpstreamKms.start();
    using host = new Host();
    await done(host.integrate(upstream));
    await done(host.init("node-1"));
    await done(host.seal("node-1"));
    const manifest = join(host.node("node-1"), "node.toml");
    writeFileSync(manifest, readFileSync(manifest, "utf8").replace(/^unlock_file.*$/m, ""));
    assert.equal((await host.launch("node-1")).code, 1);
    const credential = host.folder.file("credentials/strongroom-unlock", readFileSync(host.unlockFile), 0o400);
    const env = { CREDENTIALS_DIRECTORY: join(credential, "..") };
    assert.equal((await done(host.launch("node-1", env))).stdout.trim(), nodekey);
    chmodSync(credential, 0o644);
    assert.equal((await host.launch("node-1", env)).code, 1);
    const wrong = host.folder.file("wrong/strongroom-unlock", "another unlock secret of more than 32 bytes");
    assert.equal((await host.launch("node-1", { CREDENTIALS_DIRECTORY: join(wrong, "..") })).code, 5);
  });

  it("trusts a private endpoint by its certificate alone", async () => {
    await using upstream = await UpstreamKms.start();
    using host = new Host();
    const https = upstream.endpoint.replace("http:", "https:");
    const ca = host.folder.file("ca.pem", await upstream.caPem(), 0o644);
    await done(host.integrate(upstream, "kms-1", "--endpoint", https));
    await done(host.init("node-1"));
    const untrusted = await host.seal("node-1");
    assert.equal(untrusted.code, 5, untrusted.stderr);
    assert.match(untrusted.stderr, /certificate of https:\/\/127\.0\.0\.1:\d+ is not trusted/);
    await done(host.integrate(upstream, "kms-2", "--endpoint", https, "--ca-file", ca));
    const manifest = join(host.node("node-1"), "node.toml");
    writeFileSync(manifest, readFileSync(manifest, "utf8").replace('"kms-1"', '"kms-2"'));
    await done(runStrongroom(["node", "seal", host.node("node-1"), join(host.node("node-1"), "nodekey")]));
    assert.equal((await done(host.launch("node-1"))).stdout.trim(), nodekey);
  });
});

describe("strongroom integration --store", () => {
  it("keeps integrations for the nodes of a host, tells them without their secrets, and deletes what no node uses", async () => {
    await using upstream = await UpstreamKms.start();
    using host = new Host();
    await done(host.integrate(upstream));
    await done(host.integrate(upstream, "kms-2", "--master-key", upstream.keyId));
    assert.equal((await host.integrate(upstream)).code, 1);
    const listed = await strongroomJson("integration", "list", "--store", host.store);
    assert.deepEqual(
      (listed as unknown as { name: string; masterKey: string }[]).map(({ name, masterKey }) => [name, masterKey]),
      [
        ["kms-1", "alias/kaleido"],
        ["kms-2", upstream.keyId],
      ],
    );
    const shown = await strongroomJson("integration", "show", "kms-1", "--store", host.store);
    assert.deepEqual(Object.keys(shown).sort(), ["apiKey", "createdAt", "endpoint", "masterKey", "name", "region"]);
    assert.equal(statSync(host.store).mode & 0o777, 0o700);
    for (const file of ["kms-1.json", "root.slots"])
      assert.equal(statSync(join(host.store, file)).mode & 0o077, 0, file);

    for (const name of ["node-1", "node-2"]) await done(host.init(name));
    const status = await strongroomJson("node", "status", host.node("node-1"));
    assert.deepEqual(status.kms, {
      integration: "kms-1",
      store: host.store,
      detail: `${upstream.apiKey} at ${upstream.endpoint}, alias/kaleido`,
    });
    const remove = (name: string) => runStrongroom(["integration", "delete", name, "--store", host.store]);
    const refused = await remove("kms-1");
    assert.equal(refused.code, 1);
    assert.ok(
      refused.stderr.includes(host.node("node-1")) && refused.stderr.includes(host.node("node-2")),
      refused.stderr,
    );
    assert.equal((await remove("kms-2")).code, 0);
    assert.equal((await remove("kms-2")).code, 1);
    const search = new SecretSearch([{ name: "the API secret", bytes: upstream.secretBytes }]);
    search.folder(host.folder.path);
    search.text("what is told", JSON.stringify([listed, shown, status]) + refused.stderr);
    assert.deepEqual(search.sightings, []);
  });

  it("refuses a wrong unlock secret, a store that others can enter, and damaged files", async () => {
    await using upstream = await UpstreamKms.start();
    using host = new Host();
    await done(host.integrate(upstream));
    const wrong = host.folder.file("wrong", "another unlock secret of more than 32 bytes");
    const create = [
      "integration",
      "create",
      "kms-2",
      ...upstream.options,
      "--store",
      host.store,
      "--unlock-file",
      wrong,
    ];
    assert.equal((await runStrongroom(create)).code, 5);
    const file = join(host.store, "kms-1.json");
    const whole = readFileSync(file, "utf8");
    for (const text of [
      "",
      "{",
      "[]",
      whole.replace("strongroom-integration/1", "x"),
      whole.replace('"kms-1"', '"kms-9"'),
    ]) {
      writeFileSync(file, text);
      const { code, stderr } = await runStrongroom(["integration", "show", "kms-1", "--store", host.store]);
      assert.equal(code, 5, stderr);
    }
    chmodSync(host.store, 0o755);
    assert.equal((await runStrongroom(["integration", "list", "--store", host.store])).code, 1);
  });

  it("refuses wrong settings of a node before a manifest is written", async () => {
    await using upstream = await UpstreamKms.start();
    using host = new Host();
    await done(host.integrate(upstream));
    const init = (...args: string[]) =>
      runStrongroom(["node", "init", "n", "--kind", "geth", "--network", "net-1", "--dir", host.node("n"), ...args]);
    assert.equal((await init()).code, 2);
    assert.equal((await init("--integration", "kms-1")).code, 2);
    assert.equal((await init("--integration", "kms-1", ...host.place, "--server", "https://km:8443")).code, 2);
    assert.equal((await init("--store", host.store, "--server", "https://km:8443", "--key", "alias/x")).code, 2);
    assert.equal((await init("--integration", "absent", ...host.place)).code, 1);
    assert.deepEqual(snapshot(host.node("n")), { ".": "missing" });
  });
});
