/** A device in a KMS stands for one key there: a file that names another key, which its writer may own, opens nothing. */
import assert from "node:assert/strict";
import { copyFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { openNamedDevice } from "../../../../src/devices/catalogue/makers.ts";
import { readCatalogue } from "../../../../src/devices/catalogue/read.ts";
import type { DeviceKeyChoice } from "../../../../src/devices/device.ts";
import { openEnvelope, sealEnvelope } from "../../../../src/devices/device-envelope.ts";
import { TemporaryFolder } from "../../running-server.ts";
import { UpstreamKms } from "../../upstream-kms.ts";

describe("a device whose key is in a KMS", () => {
  let upstream: UpstreamKms;
  let folder: TemporaryFolder;
  let arns: { own: string; other: string };
  before(async () => {
    upstream = await UpstreamKms.start();
    folder = new TemporaryFolder();
    copyFileSync(upstream.secretFile, join(folder.path, "kms.secret"));
    const { arn: other } = await upstream.admin.keys.create({ alias: "alias/other" });
    arns = { own: (await upstream.admin.keys.describe("alias/kaleido")).arn, other };
  });
  after(async () => {
    await upstream[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });

  const open = async (masterKey: string) => {
    const file = join(folder.path, "devices.toml");
    const text = `[[device]]
name = "kms"
kind = "aws-kms"
region = "local"
access_key_id = "${upstream.apiKey}"
secret_file = "kms.secret"
master_key = "${masterKey}"
endpoint = "${upstream.endpoint}"
`;
    writeFileSync(file, text, { mode: 0o600 });
    const device = await openNamedDevice(readCatalogue(file), "kms");
    return { name: "kms", device, [Symbol.asyncDispose]: () => device[Symbol.asyncDispose]() };
  };
  const sealedBy = async (masterKey: string, choice?: DeviceKeyChoice) => {
    await using named = await open(masterKey);
    using secret = SecretBuffer.take(Buffer.from(`of ${masterKey}`));
    return await sealEnvelope(named, "secret", secret, choice);
  };
  const opened = async (masterKey: string, envelope: Buffer) => {
    await using named = await open(masterKey);
    using secret = await openEnvelope(named, "secret", envelope);
    return secret.expose((bytes) => Buffer.from(bytes).toString());
  };

  it("opens what was sealed under its key, by whichever name the key is meant", async () => {
    const envelope = await sealedBy("alias/kaleido");
    for (const name of ["alias/kaleido", arns.own, upstream.keyId])
      assert.equal(await opened(name, envelope), "of alias/kaleido");
  });

  it("opens nothing that was made anew under another key, though its access key may use that too", async () => {
    const foreign = await sealedBy("alias/other");
    for (const name of ["alias/kaleido", arns.own, upstream.keyId])
      await assert.rejects(opened(name, foreign), { code: "DEVICE_KEY_CHANGED" }, name);
  });

  it("opens nothing whose note was rewritten to name its own key", async () => {
    const [foreign, own] = [JSON.parse(String(await sealedBy("alias/other"))), await sealedBy("alias/kaleido")];
    foreign.device.material = JSON.parse(String(own)).device.material;
    await assert.rejects(opened("alias/kaleido", Buffer.from(JSON.stringify(foreign))), { code: "BOX_REFUSED" });
  });

  it("says that an alias was pointed elsewhere", async () => {
    const envelope = await sealedBy("alias/kaleido");
    await upstream.admin.aliases.update("alias/kaleido", arns.other);
    try {
      await assert.rejects(opened("alias/kaleido", envelope), { code: "DEVICE_KEY_CHANGED" });
    } finally {
      await upstream.admin.aliases.update("alias/kaleido", arns.own);
    }
    assert.equal(await opened("alias/kaleido", envelope), "of alias/kaleido");
  });

  it("takes no other key when something is sealed", async () => {
    for (const keyId of ["alias/other", arns.other])
      await assert.rejects(sealedBy("alias/kaleido", { keyId }), { code: "DEVICE_UNSUPPORTED" });
    for (const keyId of ["alias/kaleido", arns.own, upstream.keyId]) await sealedBy("alias/kaleido", { keyId });
  });
});
