import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, it } from "node:test";
import { rootCertificates } from "node:tls";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { openIntegrationSecret, sealIntegrationSecret } from "../../../../src/devices/aws-kms/sealed-secret.ts";
import { checkSecret, checkSettings, endpointOf } from "../../../../src/devices/aws-kms/settings.ts";
import { RootKey } from "../../../../src/devices/root-key.ts";

const settings = { region: "eu-west-1", apiKey: "AKIAEXAMPLE123456789", masterKey: "alias/kaleido" } as const;

describe("settings of an integration with a KMS", () => {
  for (const masterKey of [
    "1234abcd-12ab-34cd-56ef-1234567890ab",
    "mrk-1234abcd12ab34cd56ef1234567890ab",
    "arn:aws:kms:us-east-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    "arn:aws-cn:kms:cn-north-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    "alias/ExampleAlias",
    "arn:aws:kms:us-east-2:111122223333:alias/ExampleAlias",
  ])
    it(`take the master key ${masterKey}`, () => {
      assert.equal(checkSettings({ ...settings, masterKey }).masterKey, masterKey);
    });

  for (const wrong of [
    { masterKey: "" },
    { masterKey: "alias/" },
    { masterKey: "alias/a b" },
    { masterKey: "arn:aws:s3:::bucket" },
    { masterKey: "alias/x\n" },
    { region: "" },
    { region: "eu.west" },
    { region: "-eu" },
    { region: "EU-WEST-1" },
    { region: "evil.example/" },
    { apiKey: "short" },
    { apiKey: "AKIAEXAMPLE12345678/" },
    { endpoint: "http://kms.example" },
    { endpoint: "http://127.0.0.1.example" },
    { endpoint: "https://kms.example/path" },
    { endpoint: "https://kms.example/?query" },
    { endpoint: "https://user:pass@kms.example" },
    { endpoint: "ftp://127.0.0.1" },
    { endpoint: "kms.example" },
    { endpoint: "https://kms.example\n" },
    { endpoint: "http://127.0.0.1:80\n80" },
    { endpoint: " https://kms.example" },
    { endpoint: "https://kms.exa\tmple" },
    { caPem: "not a certificate" },
    { caPem: rootCertificates.slice(0, 2).join("\n") },
    { caPem: "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n" },
  ])
    it(`refuse ${JSON.stringify(wrong).slice(0, 100)}`, () => {
      assert.throws(() => checkSettings({ ...settings, ...wrong }), { code: "KMS_SETTINGS_INVALID", exitCode: 2 });
    });

  for (const endpoint of [
    "http://127.0.0.1:8080",
    "http://[::1]:8080",
    "http://localhost:1",
    "https://kms.example:8444",
  ])
    it(`take the endpoint ${endpoint}`, () => {
      assert.equal(endpointOf(checkSettings({ ...settings, endpoint })), endpoint);
    });

  it("mean AWS's own endpoint of the region when none is given", () => {
    assert.equal(endpointOf(settings), "https://kms.eu-west-1.amazonaws.com");
    assert.equal(endpointOf({ ...settings, region: "cn-north-1" }), "https://kms.cn-north-1.amazonaws.com.cn");
  });

  for (const secret of ["", "too short", "x".repeat(129), "with a space in its middle", "with-a-newline-at-the-end\n"])
    it(`refuse a secret access key like ${JSON.stringify(secret.slice(0, 30))}, without repeating it`, () => {
      using bytes = SecretBuffer.take(Buffer.from(secret));
      assert.throws(
        () => checkSecret(bytes),
        (error: Error & { code: string }) =>
          error.code === "KMS_SETTINGS_INVALID" && (secret === "" || !error.message.includes(secret)),
      );
    });
});

describe("an integration's sealed secret", () => {
  const root = () => new RootKey(randomUUID(), "intl", SecretBuffer.random(32));

  it("opens under its root key, name and settings", () => {
    using key = root();
    using secret = SecretBuffer.random(40);
    using opened = openIntegrationSecret(key, "a", settings, sealIntegrationSecret(key, "a", settings, secret));
    assert.ok(opened.equals(secret));
  });

  it("does not open under another name, root key or any altered setting, nor with any byte changed", () => {
    using key = root();
    using other = root();
    using secret = SecretBuffer.random(40);
    const box = sealIntegrationSecret(key, "a", settings, secret);
    const refused = { code: "KMS_SETTINGS_TAMPERED", exitCode: 5 };
    assert.throws(() => openIntegrationSecret(other, "a", settings, box), refused);
    assert.throws(() => openIntegrationSecret(key, "b", settings, box), refused);
    for (const altered of [
      { region: "us-east-1" },
      { apiKey: "AKIAEXAMPLE123456780" },
      { masterKey: "alias/other" },
      { endpoint: "https://evil.example" },
      { caPem: "another" },
    ])
      assert.throws(() => openIntegrationSecret(key, "a", { ...settings, ...altered }, box), refused);
    for (let at = 0; at < box.length; at++) {
      const changed = Buffer.from(box);
      changed[at] = (changed[at] ?? 0) ^ 1;
      assert.throws(() => openIntegrationSecret(key, "a", settings, changed), refused, `byte ${at}`);
    }
  });
});
