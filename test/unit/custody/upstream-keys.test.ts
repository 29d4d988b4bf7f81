import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { awsError, json, KmsStub, plantedSecret } from "../devices/aws-kms/kms-stub.ts";
import { TestKeyManager } from "./key-manager.ts";

const context = { node: "n" } as const;
const dataKey = {
  KeyId: "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
  Plaintext: Buffer.alloc(32, 9).toString("base64"),
  CiphertextBlob: Buffer.alloc(64, 7).toString("base64"),
};

describe("a request under a key of an upstream KMS", () => {
  let manager: TestKeyManager;
  let stub: KmsStub;
  beforeEach(async () => {
    manager = await TestKeyManager.make();
    stub = await KmsStub.start(json(dataKey));
    const { custody, admin } = manager;
    using apiSecret = SecretBuffer.take(Buffer.from(plantedSecret));
    const settings = { region: "eu-west-1", apiKey: "AKIAEXAMPLE123456789", endpoint: stub.endpoint, apiSecret };
    await custody.integrations.create(admin, { name: "kms-1", ...settings });
    await custody.keys.create(admin, { origin: "aws-kms", upstream: { integration: "kms-1" }, alias: "alias/up" });
  });
  afterEach(async () => {
    await manager.end();
    await stub[Symbol.asyncDispose]();
  });

  it("asks the KMS once, however often the state moves while it answers", async () => {
    const { custody, admin } = manager;
    const user = await manager.user("user", "key-user");
    const { wrapped, plaintext } = await custody.data.generateDataKey(user, { key: "alias/up", context });
    plaintext[Symbol.dispose]();
    const before = stub.requests.length;
    const moved = Promise.withResolvers<void>();
    stub.answer = (request, response) => void moved.promise.then(() => json(dataKey)(request, response));
    const opening = custody.data.unwrap(user, { wrapped, context });
    for (let times = 0; times < 5; times++) await custody.keys.create(admin, {});
    moved.resolve();
    // The answer comes while the state goes on moving: the decision is taken anew at least once more.
    const moving = Promise.all(Array.from({ length: 5 }, () => custody.keys.create(admin, {})));
    using opened = (await opening).plaintext;
    await moving;
    assert.equal(opened.byteLength, 32);
    assert.equal(stub.requests.length - before, 1);
  });

  it("asks the KMS once for each side of a re-encryption, however often the state moves meanwhile", async () => {
    const { custody } = manager;
    const user = await manager.user("user", "key-user");
    const made = await custody.data.generateDataKeyWithoutPlaintext(user, { key: "alias/up", context });
    const side = { algorithm: "SYMMETRIC_DEFAULT", context } as const;
    const targets = await whileTheStateMoves(() =>
      custody.reencryption.reencrypt(user, {
        ciphertext: made.wrapped,
        from: side,
        to: { ...side, key: "alias/up", context: { node: "m" } },
      }),
    );
    assert.deepEqual(targets, ["TrentService.Decrypt", "TrentService.GenerateDataKey"]);
  });

  it("asks the KMS once for a data key pair, however often the state moves meanwhile", async () => {
    const user = await manager.user("user", "key-user");
    const input = { key: "alias/up", context, spec: "ECC_NIST_P256", withPlaintext: false } as const;
    const targets = await whileTheStateMoves(() => manager.custody.asymmetric.generateDataKeyPair(user, input));
    assert.deepEqual(targets, ["TrentService.GenerateDataKey"]);
  });

  it("asks a KMS that refuses once too, and takes its refusal for the request's answer", async () => {
    const user = await manager.user("user", "key-user");
    const made = await manager.custody.data.generateDataKeyWithoutPlaintext(user, { key: "alias/up", context });
    const targets = await whileTheStateMoves(
      () =>
        assert.rejects(manager.custody.data.unwrap(user, { wrapped: made.wrapped, context }), {
          code: "DEVICE_REFUSED",
        }),
      awsError("DisabledException"),
    );
    assert.deepEqual(targets, ["TrentService.Decrypt"]);
  });

  /** What the KMS is asked by a request during which the state moves: before the KMS answers, and after. */
  async function whileTheStateMoves(request: () => Promise<unknown>, answer = json(dataKey)): Promise<string[]> {
    const { custody, admin } = manager;
    const before = stub.requests.length;
    const asked = Promise.withResolvers<void>();
    const moved = Promise.withResolvers<void>();
    stub.answer = (message, response) => {
      asked.resolve();
      void moved.promise.then(() => answer(message, response));
    };
    const answered = request();
    await asked.promise;
    for (let times = 0; times < 3; times++) await custody.keys.create(admin, {});
    moved.resolve();
    const moving = Promise.all(Array.from({ length: 5 }, () => custody.keys.create(admin, {})));
    await answered;
    await moving;
    return stub.requests.slice(before).map(({ target }) => target);
  }

  it("is refused when its own rights end while the KMS answers", async () => {
    const { custody, admin } = manager;
    const user = await manager.user("user", "key-user");
    const { wrapped, plaintext } = await custody.data.generateDataKey(user, { key: "alias/up", context });
    plaintext[Symbol.dispose]();
    const asked = Promise.withResolvers<void>();
    const disabled = Promise.withResolvers<void>();
    stub.answer = (request, response) => {
      asked.resolve();
      void disabled.promise.then(() => json(dataKey)(request, response));
    };
    const opening = custody.data.unwrap(user, { wrapped, context });
    await asked.promise;
    await custody.principals.disable(admin, "user");
    disabled.resolve();
    await assert.rejects(opening, { code: "ACCESS_DENIED" });
  });

  it("is refused for a context that has the name under which the key itself is told", async () => {
    const user = await manager.user("user", "key-user");
    const reserved = { ...context, "strongroom-key": "x" };
    await assert.rejects(manager.custody.data.generateDataKey(user, { key: "alias/up", context: reserved }), {
      code: "INPUT_INVALID",
    });
  });
});
