import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { afterEach, beforeEach, describe, it } from "node:test";
import { rootCertificates } from "node:tls";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import type { Caller } from "../../../src/custody/service.ts";
import { awsError, json, KmsStub, plantedSecret } from "../devices/aws-kms/kms-stub.ts";
import { TestKeyManager } from "./key-manager.ts";

const dataKey = {
  KeyId: "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
  Plaintext: Buffer.alloc(32, 9).toString("base64"),
  CiphertextBlob: Buffer.alloc(64, 7).toString("base64"),
};
const caPem = rootCertificates[0] ?? "";

describe("the use of an integration for new keys", () => {
  let manager: TestKeyManager;
  let stub: KmsStub;
  beforeEach(async () => {
    manager = await TestKeyManager.make();
    stub = await KmsStub.start(json(dataKey));
    await manager.custody.groups.create(manager.admin, {
      name: "KMS-Users",
      policies: ["AWSKeyManagementServicePowerUser"],
    });
    await integrate("kms-1");
  });
  afterEach(async () => {
    await manager.end();
    await stub[Symbol.asyncDispose]();
  });

  async function integrate(name: string, more: { readonly caPem?: string; readonly endpoint?: string } = {}) {
    using apiSecret = SecretBuffer.take(Buffer.from(plantedSecret));
    const settings = { region: "eu-west-1", apiKey: "AKIAEXAMPLE123456789", endpoint: stub.endpoint };
    return await manager.custody.integrations.create(manager.admin, { name, ...settings, ...more, apiSecret });
  }

  async function member(name: string): Promise<Caller> {
    return manager.as((await manager.custody.users.create(manager.admin, { name, groups: ["KMS-Users"] })).arn);
  }

  const over = (integration: string, key?: string) =>
    ({ origin: "aws-kms", upstream: { integration, ...(key === undefined ? {} : { key }) } }) as const;

  async function lastRecord() {
    const records = await manager.custody.audit.read(manager.admin, { after: 0, limit: 1000 });
    const { action, result, error, detail } = records.at(-1) ?? assert.fail("nothing is on record");
    return { action, result, error, detail };
  }

  it("is refused to who may make keys and no more, before anything is asked upstream", async () => {
    const paul = await member("paul");
    for (const input of [over("kms-1"), over("kms-1", "alias/payroll"), over("kms-1", "not a key's name")]) {
      await assert.rejects(manager.custody.keys.create(paul, input), { code: "ACCESS_DENIED" });
      const { detail, ...record } = await lastRecord();
      assert.deepEqual(record, { action: "kms:CreateKey", result: "refused", error: "ACCESS_DENIED" });
      assert.deepEqual([detail.deniedBy, detail.integration], ["nothing-allows", "kms-1"]);
    }
    assert.equal(stub.requests.length, 0);
    await manager.custody.keys.create(paul, {});
  });

  it("tells who may not use integrations nothing of which there are", async () => {
    const paul = await member("paul");
    const messages = new Set<string>();
    for (const name of ["kms-1", "kms-2", "", "*", "../kms-1"])
      await manager.custody.keys.create(paul, over(name)).catch((error: Error) => messages.add(error.message));
    assert.deepEqual([...messages], [`${paul.principal} may not strongroom:UseIntegration`]);
  });

  for (const role of ["auditor", "operator", "key-user"] as const)
    it(`is refused to a user of role ${role}`, async () => {
      const user = await manager.user("una", role);
      await assert.rejects(manager.custody.keys.create(user, over("kms-1")), { code: "ACCESS_DENIED" });
      assert.equal(stub.requests.length, 0);
    });

  it("tells an administrator why the KMS refused, and the record too", async () => {
    const adam = await manager.user("adam", "administrator");
    stub.answer = awsError("NotFoundException");
    await assert.rejects(manager.custody.keys.create(adam, over("kms-1", "alias/absent")), {
      code: "DEVICE_REFUSED",
      message: "access refused: the KMS has no master key alias/absent",
    });
    const { detail, ...record } = await lastRecord();
    assert.deepEqual(record, { action: "kms:CreateKey", result: "failed", error: "DEVICE_REFUSED" });
    assert.deepEqual(
      [detail.integration, detail.upstreamKey, detail.upstream],
      ["kms-1", "alias/absent", "KMS_KEY_NOT_FOUND"],
    );
  });

  it("asks a KMS that refuses once, however often the state moves meanwhile", async () => {
    const { custody, admin } = manager;
    const moved = Promise.withResolvers<void>();
    stub.answer = (request, response) =>
      void moved.promise.then(() => awsError("DisabledException")(request, response));
    const refused = assert.rejects(custody.keys.create(admin, over("kms-1")), { code: "DEVICE_REFUSED" });
    for (let times = 0; times < 3; times++) await custody.keys.create(admin, {});
    moved.resolve();
    const moving = Promise.all(Array.from({ length: 5 }, () => custody.keys.create(admin, {})));
    await refused;
    await moving;
    assert.equal(stub.requests.length, 1);
  });

  it("leaves no key behind when the integration is deleted while its KMS answers", async () => {
    const { custody, admin } = manager;
    const { making } = await whileTheKmsAnswers(() => custody.integrations.delete(admin, "kms-1"));
    await assert.rejects(making, (error: { code: string }) =>
      /^(?:INTEGRATION_NOT_FOUND|DEVICE_\w+)$/.test(error.code),
    );
    assert.deepEqual(await custody.keys.list(admin), []);
  });

  it("makes a key anew over an integration that took the name of one that was deleted meanwhile, or makes none", async () => {
    const { custody, admin } = manager;
    await using other = await KmsStub.start(
      json({ ...dataKey, KeyId: dataKey.KeyId.replace("111122223333", "444455556666") }),
    );
    const { making } = await whileTheKmsAnswers(async () => {
      await custody.integrations.delete(admin, "kms-1");
      await integrate("kms-1", { endpoint: other.endpoint });
    });
    const made = await making.then(
      () => true,
      () => false,
    );
    assert.equal((await custody.keys.list(admin)).length, made ? 1 : 0);
    if (made) assert.equal(other.requests.length, 2);
  });

  /** Begins to make a key over `kms-1`, does something while its KMS is asked, and lets the KMS answer. */
  async function whileTheKmsAnswers(doThis: () => Promise<unknown>): Promise<{ readonly making: Promise<unknown> }> {
    const asked = Promise.withResolvers<void>();
    const done = Promise.withResolvers<void>();
    stub.answer = (request, response) => {
      asked.resolve();
      void done.promise.then(() => json(dataKey)(request, response));
    };
    const making = manager.custody.keys.create(manager.admin, over("kms-1"));
    making.catch(() => {});
    await asked.promise;
    await doThis();
    done.resolve();
    return { making };
  }

  it("has on record whose certificate the endpoint chains to, by its SHA-256", async () => {
    await integrate("kms-2", { endpoint: "https://kms.example", caPem });
    const { detail } = await lastRecord();
    assert.equal(detail.caSha256, new X509Certificate(caPem).fingerprint256.replaceAll(":", "").toLowerCase());
    await integrate("kms-3");
    assert.equal((await lastRecord()).detail.caSha256, undefined);
  });

  it("takes no bundle of certificates for an endpoint: each of them could speak for it, and one is on record", async () => {
    await assert.rejects(integrate("kms-2", { caPem: `${caPem}\n${rootCertificates[1]}` }), { code: "INPUT_INVALID" });
  });
});
