import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { Agent } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import {
  CreateAliasCommand,
  CreateKeyCommand,
  DecryptCommand,
  DisableKeyCommand,
  EncryptCommand,
  GenerateDataKeyCommand,
  KMSClient,
} from "@aws-sdk/client-kms";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { initCustody, openCustody } from "../../../../src/custody/open.ts";
import type { Caller, CustodyService } from "../../../../src/custody/service.ts";
import { Authority } from "../../../../src/server/authority.ts";
import { type RunningServer, startServer } from "../../../../src/server/server.ts";
import { rawExchange } from "../../../fisco-stand-in/raw-exchange.ts";
import { replyOf } from "./running-door.ts";
import { sign, wire } from "./signed-request.ts";

interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

describe("an unmodified AWS KMS client", () => {
  const folder = mkdtempSync(join(tmpdir(), "strongroom-aws-"));
  const log: string[] = [];
  let custody: CustodyService;
  let server: RunningServer;
  let admin: Caller;
  let credentials: Credentials;
  /** Manages keys. */
  let manager: KMSClient;
  /** Uses them. */
  let kms: KMSClient;
  let keyId = "";

  const client = (endpoint: string, given: Credentials) =>
    new KMSClient({ endpoint, region: custody.identity.region, credentials: given, maxAttempts: 1 });
  const plainEndpoint = () => `http://${server.addresses.aws}`;
  const accessKeyOf = async (user: string): Promise<Credentials> => {
    const made = await custody.users.createAccessKey(admin, user);
    using secret = made.secret;
    return { accessKeyId: made.id, secretAccessKey: secret.expose((bytes) => bytes.toString("latin1")) };
  };

  before(async () => {
    const dataDir = join(folder, "km");
    using unlock = SecretBuffer.random(32);
    await initCustody({ dataDir, unlock, slotKind: "key-file" });
    custody = await openCustody({ dataDir, unlock });
    server = await startServer(custody, {
      dataDir,
      aws: { host: "127.0.0.1", port: 0 },
      log: (line) => log.push(line),
    });
    admin = { principal: custody.identity.localAdministrator, door: "local", peer: "test", requestId: "test" };
    await custody.users.create(admin, { name: "alice", role: "administrator" });
    await custody.users.create(admin, { name: "carol", role: "key-user" });
    manager = client(plainEndpoint(), await accessKeyOf("alice"));
    credentials = await accessKeyOf("carol");
    kms = client(plainEndpoint(), credentials);
    const { KeyMetadata } = await manager.send(new CreateKeyCommand({ Description: "made by an AWS client" }));
    keyId = KeyMetadata?.KeyId ?? "";
  });
  after(async () => {
    manager.destroy();
    kms.destroy();
    await server.close();
    await custody.close();
    rmSync(folder, { recursive: true });
    assert.deepEqual(log, []);
  });

  it("encrypts and decrypts under a context, by alias", async () => {
    await manager.send(new CreateAliasCommand({ AliasName: "alias/nodes", TargetKeyId: keyId }));
    const EncryptionContext = { node: "node-0" };
    const Plaintext = Buffer.from("a node's key \u{1f511}");
    const { CiphertextBlob } = await kms.send(
      new EncryptCommand({ KeyId: "alias/nodes", Plaintext, EncryptionContext }),
    );
    const decrypted = await kms.send(new DecryptCommand({ CiphertextBlob, EncryptionContext }));
    assert.deepEqual(Buffer.from(decrypted.Plaintext ?? []), Plaintext);
    await assert.rejects(kms.send(new DecryptCommand({ CiphertextBlob })), { name: "InvalidCiphertextException" });
  });

  it("gets data keys over HTTPS with the server's certificate", async () => {
    const ca = (await Authority.open(custody)).serverIssuerPem;
    const secure = new KMSClient({
      endpoint: `https://${server.addresses.aws}`,
      region: custody.identity.region,
      credentials,
      requestHandler: { httpsAgent: new Agent({ ca, keepAlive: true }) },
    });
    const made = await secure.send(new GenerateDataKeyCommand({ KeyId: keyId, KeySpec: "AES_256" }));
    const { Plaintext } = await secure.send(new DecryptCommand({ CiphertextBlob: made.CiphertextBlob }));
    assert.equal(made.Plaintext?.length, 32);
    assert.deepEqual(Plaintext, made.Plaintext);
    secure.destroy();
  });

  it("is refused with another secret, and with an access key that nobody has", async () => {
    const wrong = client(plainEndpoint(), { ...credentials, secretAccessKey: "x".repeat(40) });
    await assert.rejects(wrong.send(new GenerateDataKeyCommand({ KeyId: keyId, NumberOfBytes: 16 })), {
      name: "InvalidSignatureException",
    });
    const unknown = client(plainEndpoint(), { accessKeyId: "AKIAIOSFODNN7EXAMPLE", secretAccessKey: "x".repeat(40) });
    await assert.rejects(unknown.send(new GenerateDataKeyCommand({ KeyId: keyId, NumberOfBytes: 16 })), {
      name: "UnrecognizedClientException",
    });
    wrong.destroy();
    unknown.destroy();
  });

  it("is refused from the next request on once its access key is disabled, rotated or its user is gone", async () => {
    await custody.users.create(admin, { name: "bob", role: "key-user" });
    const given = await accessKeyOf("bob");
    const call = async (keys: Credentials): Promise<string> => {
      const bob = client(plainEndpoint(), keys);
      const command = new GenerateDataKeyCommand({ KeyId: keyId, NumberOfBytes: 16 });
      const name = await bob.send(command).then(
        () => "done",
        (error: Error) => error.name,
      );
      bob.destroy();
      return name;
    };
    assert.equal(await call(given), "done");
    await custody.users.setAccessKeyState(admin, given.accessKeyId, "disabled");
    assert.equal(await call(given), "UnrecognizedClientException");
    await custody.users.setAccessKeyState(admin, given.accessKeyId, "enabled");
    assert.equal(await call(given), "done");
    const rotated = await custody.users.rotateAccessKey(admin, given.accessKeyId);
    using secret = rotated.secret;
    assert.equal(await call(given), "InvalidSignatureException");
    const next = { ...given, secretAccessKey: secret.expose((bytes) => bytes.toString("latin1")) };
    assert.equal(await call(next), "done");
    await custody.users.delete(admin, "bob");
    assert.equal(await call(next), "UnrecognizedClientException");
  });

  it("is on record with its access key, program and operation, and its refusals once", async () => {
    const other = await manager.send(new CreateKeyCommand({}));
    const disabled = other.KeyMetadata?.KeyId ?? "";
    await manager.send(new DisableKeyCommand({ KeyId: disabled }));
    const Plaintext = Buffer.from("x");
    await assert.rejects(kms.send(new EncryptCommand({ KeyId: disabled, Plaintext })), { name: "DisabledException" });
    await assert.rejects(kms.send(new EncryptCommand({ KeyId: keyId, Plaintext: Buffer.alloc(0) })), {
      name: "ValidationException",
    });
    const records = await custody.audit.read(admin, { after: 0, limit: 1000 });
    const ofDisabled = records.filter(({ key, action }) => key === disabled && action === "kms:Encrypt");
    assert.deepEqual(
      ofDisabled.map(({ result, error, door, principal }) => [result, error, door, principal.split("/").at(-1)]),
      [["refused", "KEY_DISABLED", "aws", "carol"]],
    );
    assert.deepEqual(
      records.filter(({ action }) => action === "aws:Encrypt").map(({ detail }) => detail.code),
      ["ValidationException"],
    );
    assert.equal((await custody.audit.verify(admin)).ok, true);
  });

  it("is answered with a date by which it can set its clock right", async () => {
    const port = Number(server.addresses.aws?.split(":")[1]);
    const early = sign({ atMs: Date.now() - 3_600_000, region: custody.identity.region });
    const { headers, body } = replyOf(await rawExchange(port, wire(early)));
    assert.match(JSON.parse(body).message, /^Signature expired: /);
    assert.ok(Math.abs(Date.parse(headers.get("date") ?? "") - Date.now()) < 60_000);
  });
});
