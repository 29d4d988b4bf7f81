import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { describe, it } from "node:test";
import type { KeyManagerClient } from "../../../src/client/client.ts";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { KeyManagerFolder, runStrongroom, startServer } from "../running-server.ts";
import { SecretSearch } from "../secrets/planted-secrets.ts";
import { UpstreamKms, userName } from "../upstream-kms.ts";

const context = { network: "net-1", node: "node-1", purpose: "test" } as const;

/** What comes of an unwrap: `opened`, or code and exit code of the refusal. */
async function open(node: KeyManagerClient, wrapped: Buffer): Promise<string> {
  try {
    using plaintext = (await node.unwrap({ wrapped, context })).plaintext;
    return plaintext.byteLength === 32 ? "opened" : "of another length";
  } catch (error) {
    const { code, exitCode } = error as { code: string; exitCode: number };
    return `${code} ${exitCode}`;
  }
}

describe("a master key of origin aws-kms", () => {
  it("lives in another KMS, which decides on every use; nothing opens while it refuses or is away", async () => {
    await using upstream = await UpstreamKms.start();
    using manager = await KeyManagerFolder.make();
    await using server = await startServer(manager);
    const { admin } = server;
    using apiSecret = upstream.secret();
    const { apiKey, endpoint } = upstream;
    const made = await admin.integrations.create({ name: "kms-1", region: "local", apiKey, endpoint, apiSecret });
    assert.equal(made.masterKey, "alias/kaleido");
    const key = await admin.keys.create({
      origin: "aws-kms",
      upstream: { integration: "kms-1" },
      alias: "alias/upstream",
    });
    assert.deepEqual([key.origin, key.suite, key.state], ["aws-kms", "intl", "enabled"]);
    const node = server.clientOf(await server.enrol("node-1", "alias/upstream"));
    const { wrapped } = await node.generateDataKey({ key: "alias/upstream", context });
    assert.equal(await open(node, wrapped), "opened");
    const before = await upstream.record();
    assert.equal(before.at(-1), "kms:Decrypt done");

    await upstream.admin.keys.disable("alias/kaleido");
    assert.equal(await open(node, wrapped), "REFUSED 3");
    await assert.rejects(node.generateDataKey({ key: "alias/upstream", context }), { code: "REFUSED" });
    assert.equal((await upstream.record()).at(-1), "kms:GenerateDataKey refused");
    await upstream.admin.keys.enable("alias/kaleido");
    assert.equal(await open(node, wrapped), "opened");

    await upstream.admin.principals.disable(userName);
    assert.equal(await open(node, wrapped), "REFUSED 3");
    await upstream.admin.principals.enable(userName);

    await upstream.admin.keys.scheduleDeletion(upstream.keyId, 7);
    assert.equal(await open(node, wrapped), "REFUSED 3");
    await upstream.admin.keys.cancelDeletion(upstream.keyId);
    await upstream.admin.keys.enable(upstream.keyId);
    assert.equal(await open(node, wrapped), "opened");

    await upstream.stop();
    assert.equal(await open(node, wrapped), "UNREACHABLE 4");
    await upstream.restart();
    assert.equal(await open(node, wrapped), "opened");
    node.close();

    const records = await admin.audit.read({ after: 0, limit: 1000 });
    const failed = records
      .filter(({ result }) => result === "failed")
      .map(({ error, detail }) => [error, detail.upstream]);
    assert.deepEqual(failed, [
      ["DEVICE_REFUSED", "KMS_KEY_DISABLED"],
      ["DEVICE_REFUSED", "KMS_KEY_DISABLED"],
      ["DEVICE_REFUSED", "KMS_CREDENTIALS_REFUSED"],
      ["DEVICE_REFUSED", "KMS_KEY_STATE"],
      ["DEVICE_UNREACHABLE", "KMS_UNREACHABLE"],
    ]);
    const search = new SecretSearch([{ name: "the API secret", bytes: upstream.secretBytes }]);
    search.folder(manager.dataDir);
    search.text("the server's output", server.output.stdout + server.output.stderr);
    search.text("the audit records", JSON.stringify(records));
    assert.deepEqual(search.sightings, []);
  });

  it("refuses another context, a changed box, and the reserved name in a context", async () => {
    await using upstream = await UpstreamKms.start();
    using manager = await KeyManagerFolder.make();
    await using server = await startServer(manager);
    const { admin } = server;
    using apiSecret = upstream.secret();
    const { apiKey, endpoint } = upstream;
    await admin.integrations.create({ name: "kms-1", region: "local", apiKey, endpoint, apiSecret });
    await admin.keys.create({ origin: "aws-kms", upstream: { integration: "kms-1" }, alias: "alias/upstream" });
    const node = server.clientOf(await server.enrol("node-1", "alias/upstream"));
    const { wrapped } = await node.generateDataKey({ key: "alias/upstream", context });
    for (let at = 0; at < wrapped.length; at += 17) {
      const changed = Buffer.from(wrapped);
      changed[at] = (changed[at] ?? 0) ^ 1;
      assert.match(await open(node, changed), /^(?:REFUSED 3|NOT_FOUND 1)$/, `byte ${at}`);
    }
    await assert.rejects(node.unwrap({ wrapped, context: { ...context, purpose: "other" } }), { code: "REFUSED" });
    await assert.rejects(
      node.generateDataKey({ key: "alias/upstream", context: { ...context, "strongroom-key": "x" } }),
      {
        code: "REQUEST_INVALID",
      },
    );
    node.close();
    await assert.rejects(admin.keys.rotate("alias/upstream"), { code: "REQUEST_INVALID" });
  });

  it("does not hold up requests about other keys while its KMS says nothing", async () => {
    await using silent = await SilentListener.start();
    using manager = await KeyManagerFolder.make();
    await using server = await startServer(manager);
    const { admin } = server;
    using apiSecret = SecretBuffer.take(Buffer.from("a-secret-that-is-never-sent"));
    const integration = { region: "local", apiKey: "AKIAEXAMPLE123456789", apiSecret };
    await admin.integrations.create({ name: "kms-1", endpoint: silent.endpoint, ...integration });
    let told = false;
    const slow = admin.keys
      .create({ origin: "aws-kms", upstream: { integration: "kms-1" } })
      .catch((error: { code: string }) => error.code)
      .finally(() => {
        told = true;
      });
    await silent.asked;
    for (let times = 0; times < 5; times++) await admin.keys.list();
    await admin.keys.create({ alias: "alias/soft" });
    assert.equal(told, false);
    assert.equal(await slow, "UNREACHABLE");
  });
});

describe("strongroom integration and key create --origin aws-kms", () => {
  it("keep an integration in a key manager, tell it without its secret, and refuse to delete one that a key uses", async () => {
    await using upstream = await UpstreamKms.start();
    using manager = await KeyManagerFolder.make();
    const run = (...args: string[]) => runStrongroom([...args, ...manager.options]);
    const create = (name: string, ...more: string[]) =>
      run("integration", "create", name, ...upstream.options, "--endpoint", upstream.endpoint, ...more);
    assert.equal((await create("kms-1")).code, 0);
    assert.equal((await create("kms-1")).code, 1);
    assert.equal((await create("kms-2", "--master-key", "alias/absent")).code, 0);
    const shown = await run("integration", "show", "kms-1", "--json");
    assert.equal(JSON.parse(shown.stdout).masterKey, "alias/kaleido");
    const listed = await run("integration", "list", "--json");
    assert.equal(JSON.parse(listed.stdout).length, 2);
    const key = (...args: string[]) => run("key", "create", "--origin", "aws-kms", ...args);
    assert.equal((await key("--integration", "kms-1", "--alias", "alias/up")).code, 0);
    const absent = await key("--integration", "kms-2");
    assert.equal(absent.code, 3);
    assert.match(absent.stderr, /access refused: the KMS has no master key alias\/absent/);
    assert.equal((await key("--integration", "kms-2", "--upstream-key", upstream.keyId)).code, 0);
    assert.equal((await key("--integration", "nothing")).code, 1);
    assert.equal((await key()).code, 2);
    assert.equal((await run("key", "create", "--integration", "kms-1")).code, 2);
    assert.equal((await key("--integration", "kms-1", "--suite", "sm")).code, 2);
    const refused = await run("integration", "delete", "kms-1");
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /integration kms-1 is used by master key [0-9a-f-]{36}/);
    const records = await run("audit", "export");
    assert.equal(records.code, 0, records.stderr);
    assert.match(records.stdout, /"eventName":"CreateIntegration"/);

    const search = new SecretSearch([{ name: "the API secret", bytes: upstream.secretBytes }]);
    search.folder(manager.dataDir);
    for (const { stdout, stderr } of [shown, listed, refused, records]) search.text("what is told", stdout + stderr);
    assert.deepEqual(search.sightings, []);
  });

  it("refuse wrong settings, a secret that others can read, and callers who are no administrators", async () => {
    await using upstream = await UpstreamKms.start();
    using manager = await KeyManagerFolder.make();
    await using server = await startServer(manager);
    const place = ["--data", manager.dataDir];
    const create = (...args: string[]) => runStrongroom(["integration", "create", "kms-1", ...args, ...place]);
    const open = join(manager.folder, "open-secret");
    writeFileSync(open, "x".repeat(40), { mode: 0o644 });
    const [region, apiKey, secret] = [
      upstream.options.slice(0, 2),
      upstream.options.slice(2, 4),
      upstream.options.slice(4),
    ];
    for (const args of [
      [...region, ...apiKey, "--api-secret-file", open],
      [...region, ...apiKey, "--api-secret-file", join(manager.folder, "absent")],
      [...apiKey, ...secret],
      [...region, ...secret],
      [...region, ...apiKey],
      ["--region", "Not A Region", ...apiKey, ...secret],
      [...region, "--api-key", "no", ...secret],
      [...region, ...apiKey, ...secret, "--master-key", "alias/a b"],
      [...region, ...apiKey, ...secret, "--endpoint", "http://kms.example"],
    ])
      assert.equal((await create(...args)).code, 2, args.join(" "));
    for (const role of ["auditor", "operator", "key-user"] as const) {
      const { name } = await server.admin.principals.create({ name: `some-${role}`, kind: "user", role });
      const caller = server.clientOf(await server.enrol(name));
      using apiSecret = upstream.secret();
      const input = { name: "kms-1", region: "local", apiKey: upstream.apiKey, apiSecret };
      await assert.rejects(caller.integrations.create(input), { code: "REFUSED" });
      await assert.rejects(caller.integrations.list(), { code: "REFUSED" });
      await assert.rejects(caller.integrations.describe("kms-1"), { code: "REFUSED" });
      await assert.rejects(caller.integrations.delete("kms-1"), { code: "REFUSED" });
      caller.close();
    }
    assert.deepEqual(await server.admin.integrations.list(), []);
  });
});

/** Takes connections on loopback and says nothing. */
class SilentListener implements AsyncDisposable {
  readonly endpoint: string;
  readonly asked: Promise<void>;
  readonly #server: Server;
  readonly #sockets: Set<Socket>;

  private constructor(server: Server, port: number, asked: Promise<void>, sockets: Set<Socket>) {
    this.#server = server;
    this.#sockets = sockets;
    this.endpoint = `http://127.0.0.1:${port}`;
    this.asked = asked;
  }

  static async start(): Promise<SilentListener> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.once("data", () => resolve());
    });
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    return new SilentListener(server, port, promise, sockets);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
