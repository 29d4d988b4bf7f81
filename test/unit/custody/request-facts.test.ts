import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { Context } from "../../../src/crypto/context.ts";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import type { Caller } from "../../../src/custody/service.ts";
import { TestKeyManager } from "./key-manager.ts";

const denied = { code: "ACCESS_DENIED" };
const context = { network: "consortium" };

describe("a key policy that asks what a request says", () => {
  let km: TestKeyManager;
  let user: Caller;
  let first: string;
  let second: string;
  let wrapped: Buffer;
  before(async () => {
    km = await TestKeyManager.make();
    user = await km.user("uma", "key-user");
    first = (await km.custody.keys.create(km.admin, { alias: "alias/first" })).keyId;
    second = (await km.custody.keys.create(km.admin, { alias: "alias/second" })).keyId;
    using plaintext = SecretBuffer.random(32);
    ({ wrapped } = await km.custody.data.wrap(user, { key: first, context, plaintext }));
  });
  after(() => km.end());

  const putDeny = async (key: string, action: string, condition: Record<string, Record<string, string>>) => {
    const account = `arn:aws:iam::${km.custody.identity.account}:root`;
    const policy = {
      Version: "2012-10-17",
      Statement: [
        { Effect: "Allow", Principal: { AWS: account }, Action: "kms:*", Resource: "*" },
        { Effect: "Deny", Principal: "*", Action: action, Resource: "*", Condition: condition },
      ],
    };
    await km.custody.policies.put(km.admin, key, JSON.stringify(policy));
  };
  const rewrap = (toKey?: string) =>
    km.custody.data.rewrap(user, { wrapped, context, ...(toKey === undefined ? {} : { toKey }) });
  const unwrap = async (key?: string) => {
    const input = { wrapped, context, ...(key === undefined ? {} : { key }) };
    (await km.custody.data.unwrap(user, input)).plaintext[Symbol.dispose]();
  };

  it("keeps boxes of a key under that key, by kms:ReEncryptOnSameKey, asked of the source", async () => {
    await putDeny(first, "kms:ReEncryptFrom", { Bool: { "kms:ReEncryptOnSameKey": "false" } });
    for (const other of [second, "alias/second"]) await assert.rejects(rewrap(other), denied);
    for (const same of [undefined, first, "alias/first"]) await rewrap(same);
  });

  it("takes no boxes of other keys, by kms:ReEncryptOnSameKey, asked of the destination", async () => {
    await putDeny(first, "kms:CreateAlias", { Bool: { "kms:ReEncryptOnSameKey": "false" } });
    await rewrap(second);
    await putDeny(second, "kms:ReEncryptTo", { Bool: { "kms:ReEncryptOnSameKey": "false" } });
    await assert.rejects(rewrap(second), denied);
  });

  it("knows an alias by its name, however the request writes it and wherever it names the key", async () => {
    await km.custody.aliases.create(km.admin, "alias/barred", first);
    await km.custody.aliases.create(km.admin, "alias/barred-too", second);
    const arn = (alias: string) => `arn:aws:kms:local:${km.custody.identity.account}:${alias}`;
    const barred = { StringLike: { "kms:RequestAlias": "alias/barred*" } };
    await putDeny(first, "kms:*crypt*", barred);
    await putDeny(second, "kms:*crypt*", barred);
    using plaintext = SecretBuffer.random(32);
    for (const key of ["alias/barred", arn("alias/barred")]) {
      await assert.rejects(unwrap(key), denied);
      await assert.rejects(km.custody.data.wrap(user, { key, context, plaintext }), denied);
      await assert.rejects(rewrap(key), denied);
    }
    for (const key of ["alias/barred-too", arn("alias/barred-too")]) await assert.rejects(rewrap(key), denied);
    for (const key of [undefined, first, "alias/first", arn("alias/first")]) await unwrap(key);
    for (const key of [second, "alias/second", arn("alias/second")]) await rewrap(key);
  });

  it("lets kms:RequestAlias allow nothing to a request that names a key by its id", async () => {
    await putDeny(first, "kms:Decrypt", { StringNotEquals: { "kms:RequestAlias": "alias/first" } });
    await assert.rejects(unwrap(first), denied);
    await assert.rejects(unwrap(), denied);
    await unwrap("alias/first");
  });
});

describe("a key policy that asks for aws:SecureTransport", () => {
  let km: TestKeyManager;
  let key: string;
  let user: Caller;
  before(async () => {
    km = await TestKeyManager.make();
    user = await km.user("tess", "key-user");
    key = (await km.custody.keys.create(km.admin, {})).keyId;
    const account = `arn:aws:iam::${km.custody.identity.account}:root`;
    const overPlain = { Bool: { "aws:SecureTransport": "false" } };
    const Statement = [
      { Effect: "Allow", Principal: { AWS: account }, Action: "kms:*", Resource: "*" },
      { Effect: "Deny", Principal: "*", Action: "kms:DescribeKey", Resource: "*", Condition: overPlain },
    ];
    await km.custody.policies.put(km.admin, key, JSON.stringify({ Version: "2012-10-17", Statement }));
  });
  after(() => km.end());

  for (const door of ["native", "console", "local"] as const)
    it(`lets through what came at the door ${door}`, async () => {
      await km.custody.keys.describe({ ...user, door }, key);
    });

  it("lets through what came at the AWS door over TLS", async () => {
    await km.custody.keys.describe({ ...user, door: "aws", secureTransport: true }, key);
  });

  it("refuses what came at the AWS door over plain HTTP, or at the FISCO door", async () => {
    for (const plain of [{ door: "aws", secureTransport: false }, { door: "aws" }, { door: "fisco" }] as const)
      await assert.rejects(km.custody.keys.describe({ ...user, ...plain }, key), denied);
  });
});

describe("the record of a re-encryption", () => {
  let km: TestKeyManager;
  let user: Caller;
  let key: string;
  before(async () => {
    km = await TestKeyManager.make();
    user = await km.user("rita", "key-user");
    key = (await km.custody.keys.create(km.admin, {})).keyId;
  });
  after(() => km.end());

  const moves = [
    ["rewrap", (wrapped: Buffer, to: Context) => km.custody.data.rewrap(user, { wrapped, context, toContext: to })],
    [
      "reencrypt",
      (wrapped: Buffer, to: Context) =>
        km.custody.reencryption.reencrypt(user, {
          ciphertext: wrapped,
          from: { algorithm: "SYMMETRIC_DEFAULT", context },
          to: { key, algorithm: "SYMMETRIC_DEFAULT", context: to },
        }),
    ],
  ] as const;
  for (const [name, move] of moves)
    it(`holds all of the new context when it is done, and no long one when it is refused (${name})`, async () => {
      using plaintext = SecretBuffer.random(32);
      const { wrapped } = await km.custody.data.wrap(user, { key, context, plaintext });
      const { sequence } = await km.custody.audit.checkpoint(km.admin);
      const long = { purpose: "x".repeat(4000) };
      await move(wrapped, long);
      await assert.rejects(move(wrapped, { purpose: "x".repeat(100_000) }));
      const records = await km.custody.audit.read(km.admin, { after: sequence, limit: 10 });
      const [done, refused] = records.filter(({ action }) => action === "kms:ReEncryptFrom");
      assert.deepEqual([done?.result, done?.detail], ["done", { toKey: key, toContext: JSON.stringify(long) }]);
      assert.notEqual(refused?.result, "done");
      assert.ok(String(refused?.detail.toContext).length < 1024);
    });
});
