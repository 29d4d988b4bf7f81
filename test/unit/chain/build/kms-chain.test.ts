import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { buildChain } from "../../../../src/chain/build/build.ts";
import { readChainNodeConfig } from "../../../../src/chain/build/config-reader.ts";
import { readKmsNodeKeys } from "../../../../src/chain/build/kms-node-keys.ts";
import type { KmsAccess } from "../../../../src/chain/build/kms-settings.ts";
import {
  checkOptions,
  type KmsOptions,
  readForEachNode,
  readKmsKeyNames,
} from "../../../../src/chain/build/options.ts";
import { generateKeyPair, nodeIdOf } from "../../../../src/crypto/curve.ts";
import { json, KmsStub, plantedSecret } from "../../devices/aws-kms/kms-stub.ts";
import { keyArn, StubSigningKey } from "../../devices/aws-kms/signing-stub.ts";
import { ChainFolder, fourNodes } from "./chain-folder.ts";

const arnOf = (index: number) => keyArn.replace("1234abcd", `${index}234abcd`);
const ca = "-----BEGIN CERTIFICATE-----\n";

function accessOf(folder: ChainFolder, more: Partial<KmsAccess> = {}): KmsAccess {
  return {
    region: "eu-west-1",
    url: "https://kms.example",
    accessKeyId: "AKIAEXAMPLE123456789",
    secretFile: folder.write("secret", `${plantedSecret}\n`),
    ...more,
  };
}

function kmsOptions(access: KmsAccess): KmsOptions {
  return {
    keys: [0, 1, 2, 3].map((index) => ({
      access,
      keyArn: arnOf(index),
      publicKey: generateKeyPair("sm2").publicKey,
    })),
  };
}

describe("a chain whose node keys are in a KMS", () => {
  it("has the public keys alone, each node's key by its ARN, and the secret in a private file of its own", () => {
    using folder = new ChainFolder();
    const access = accessOf(folder, { caFile: folder.write("ca.crt", ca, 0o644) });
    const kms = kmsOptions(access);
    const { output, nodes } = buildChain(fourNodes(folder, { kms }));
    for (const node of nodes) {
      const key = kms.keys[node.index];
      assert.equal(node.kmsKey, arnOf(node.index));
      assert.equal(node.nodeId, key && nodeIdOf(key.publicKey));
      assert.match(readFileSync(join(node.folder, "conf/node.pem"), "utf8"), /^-----BEGIN PUBLIC KEY-----/);
      const { signing, genesis } = readChainNodeConfig(join(node.folder, "config.ini"));
      const secretFile = join(node.folder, "conf/kms_secret");
      const { region, url, accessKeyId } = access;
      const caFile = join(node.folder, "conf/kms_ca.crt");
      assert.deepEqual(signing, {
        kind: "kms",
        kms: { region, url, accessKeyId, secretFile, caFile, key: arnOf(node.index) },
        publicKeyPath: join(node.folder, "conf/node.pem"),
      });
      assert.equal(genesis.sealers[node.index]?.nodeId, node.nodeId);
      assert.equal(statSync(secretFile).mode & 0o777, 0o600);
      assert.equal(readFileSync(secretFile, "utf8"), plantedSecret);
      assert.equal(readFileSync(caFile, "utf8"), ca);
    }
    const holding = readdirSync(output, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .filter((name) => readFileSync(name).includes(plantedSecret));
    assert.deepEqual(
      holding.filter((name) => !/node\d\/conf\/kms_secret$/.test(name)),
      [],
    );
  });

  it("is at AWS's own endpoint when no URL is given", () => {
    using folder = new ChainFolder();
    const { url: _url, ...access } = accessOf(folder);
    const { nodes } = buildChain(fourNodes(folder, { kms: kmsOptions(access) }));
    const { signing } = readChainNodeConfig(join(nodes[0]?.folder ?? "", "config.ini"));
    assert.ok(signing.kind === "kms");
    assert.deepEqual([signing.kms.url, signing.kms.caFile], [undefined, undefined]);
  });

  it("is not built with a secret that others may read, or that is missing, and leaves nothing", () => {
    using folder = new ChainFolder();
    for (const [secretFile, code] of [
      [folder.write("open", plantedSecret, 0o644), "FILE_UNSAFE"],
      [folder.at("none"), "FILE_UNUSABLE"],
    ] as const)
      assert.throws(() => buildChain(fourNodes(folder, { kms: kmsOptions(accessOf(folder, { secretFile })) })), {
        code,
      });
    assert.ok(!existsSync(folder.at("nodes")));
  });

  it("is not built with another place of the keys, nor for FISCO BCOS's program", () => {
    using folder = new ChainFolder();
    const kms = kmsOptions(accessOf(folder));
    for (const [more, message] of [
      [{ hsm: { pinInConfig: false }, nodeKeys: "keys" }, /^-H and --kms-keys exclude/],
      [{ nodeKeys: "keys" }, /^-n and --kms-keys exclude/],
      [{ binary: "/bin/true" }, /cannot sign with a key in a KMS/],
    ] as const)
      assert.throws(() => checkOptions(fourNodes(folder, { kms, ...more })), { code: "OPTION_INVALID", message });
  });

  it("has one key's name for each node", () => {
    assert.deepEqual(readKmsKeyNames("a, alias/b", 2), ["a", "alias/b"]);
    for (const text of ["", "a", "a,b,c"])
      assert.throws(() => readKmsKeyNames(text, 2), { code: "OPTION_INVALID", message: /keys for 2 nodes/ });
  });
});

describe("what a KMS is asked with", () => {
  it("is one for all nodes, or one for each in their order", () => {
    assert.deepEqual(readForEachNode("--kms-secret-file", "a", 3), ["a", "a", "a"]);
    assert.deepEqual(readForEachNode("--kms-secret-file", "a,b, c", 3), ["a", "b", "c"]);
    const message = /^--kms-secret-file has 2 values for 3 nodes/;
    assert.throws(() => readForEachNode("--kms-secret-file", "a,b", 3), { code: "OPTION_INVALID", message });
  });

  it("is each node's own: its access key in its config.ini, its secret in its folder", () => {
    using folder = new ChainFolder();
    const keys = kmsOptions(accessOf(folder)).keys.map((key, index) => ({
      ...key,
      access: accessOf(folder, {
        accessKeyId: `AKIAEXAMPLE12345678${index}`,
        secretFile: folder.write(`secret${index}`, `${plantedSecret}${index}`),
      }),
    }));
    const { nodes } = buildChain(fourNodes(folder, { kms: { keys } }));
    for (const { folder: at, index } of nodes) {
      assert.equal(readFileSync(join(at, "conf/kms_secret"), "utf8"), `${plantedSecret}${index}`);
      const { signing } = readChainNodeConfig(join(at, "config.ini"));
      assert.ok(signing.kind === "kms");
      assert.equal(signing.kms.accessKeyId, `AKIAEXAMPLE12345678${index}`);
    }
  });
});

describe("the nodes' keys as the KMS shows them", () => {
  it("are asked for by their names and known by their ARNs", async () => {
    await using stub = await KmsStub.start();
    using folder = new ChainFolder();
    using one = await StubSigningKey.make("sm2");
    using two = await StubSigningKey.make("sm2");
    stub.answer = (request, response) => {
      const { KeyId } = JSON.parse(request.body) as { readonly KeyId: string };
      const [key, index] = KeyId === "alias/one" ? [one, 1] : [two, 2];
      json({ ...key.shown, KeyId: arnOf(index) })(request, response);
    };
    const access = accessOf(folder, { url: stub.endpoint });
    const named = (...names: readonly string[]) => names.map((name) => ({ name, access }));
    assert.deepEqual(await readKmsNodeKeys(named("alias/one", "alias/two"), "sm2"), [
      { access, keyArn: arnOf(1), publicKey: one.publicKey },
      { access, keyArn: arnOf(2), publicKey: two.publicKey },
    ]);
    const same = { code: "NODE_KEYS_INVALID", message: /alias\/two and alias\/three are the same key/ };
    await assert.rejects(readKmsNodeKeys(named("alias/two", "alias/three"), "sm2"), same);
    await assert.rejects(readKmsNodeKeys(named("alias/one"), "secp256k1"), { code: "KMS_KEY_UNSUITABLE" });
  });

  it("are refused when two names show the same public key under two ARNs", async () => {
    await using stub = await KmsStub.start();
    using folder = new ChainFolder();
    using key = await StubSigningKey.make("sm2");
    stub.answer = (request, response) => json({ ...key.shown, KeyId: arnOf(stub.requests.length) })(request, response);
    const access = accessOf(folder, { url: stub.endpoint });
    const names = ["alias/one", "alias/two"].map((name) => ({ name, access }));
    await assert.rejects(readKmsNodeKeys(names, "sm2"), { code: "NODE_KEYS_INVALID" });
  });

  it("are not asked for with settings that cannot be right, which are named as the options are", async () => {
    await using stub = await KmsStub.start();
    using folder = new ChainFolder();
    const plain = accessOf(folder, { url: stub.endpoint });
    for (const [access, name, message] of [
      [{ region: "A B" }, "alias/one", /^--kms-region is not/],
      [{ accessKeyId: "short" }, "alias/one", /^--kms-access-key-id is not/],
      [{ url: "ftp://kms" }, "alias/one", /^--kms-url is not/],
      [{ url: "http://kms.example" }, "alias/one", /^--kms-url is not https: plain http/],
      [{ caFile: folder.write("ca.crt", ca) }, "alias/one", /^--kms-ca-file is not one certificate/],
      [{}, "alias one", /^each of --kms-keys is not/],
      [{}, "one\nkms_url=x", /^each of --kms-keys is not/],
    ] as const)
      await assert.rejects(readKmsNodeKeys([{ name, access: { ...plain, ...access } }], "sm2"), {
        code: "OPTION_INVALID",
        message,
      });
    assert.equal(stub.requests.length, 0);
  });
});
