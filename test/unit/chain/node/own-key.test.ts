import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { subjectPublicKeyInfo } from "../../../../src/chain/build/certificate.ts";
import type { ChainNodeConfig } from "../../../../src/chain/build/config-reader.ts";
import type { DigestSigner } from "../../../../src/chain/ledger/signer.ts";
import { checkOwnKey } from "../../../../src/chain/node/own-key.ts";
import { type CurveName, generateKeyPair } from "../../../../src/crypto/curve.ts";
import { writePrivateKey } from "../../../../src/crypto/pem.ts";
import { ChainFolder } from "../build/chain-folder.ts";

type Signing = ChainNodeConfig["signing"];

function check(folder: ChainFolder, publicKey: Buffer, kind: Signing["kind"] = "hsm", curve: CurveName = "sm2"): void {
  const publicKeyPath = folder.at("node.pem");
  const kms = { region: "local", accessKeyId: "AKIAEXAMPLE123456789", secretFile: "secret", key: "alias/node0" };
  const signings: Record<Signing["kind"], Signing> = {
    hsm: { kind: "hsm", hsm: { libraries: ["lib.so"], keyIndex: 44, environment: {} }, publicKeyPath },
    kms: { kind: "kms", kms, publicKeyPath },
    file: { kind: "file", privateKeyPath: publicKeyPath },
  };
  const genesis = { smCrypto: curve === "sm2" } as ChainNodeConfig["genesis"];
  const signer = { algorithm: curve, publicKey, sign: () => Promise.reject(new Error("nothing is signed")) };
  checkOwnKey({ signing: signings[kind], genesis }, signer as DigestSigner);
}

function pemOf(curve: CurveName, publicKey: Buffer): string {
  const body = subjectPublicKeyInfo(curve, publicKey).toString("base64");
  return `-----BEGIN PUBLIC KEY-----\n${body.match(/.{1,64}/g)?.join("\n")}\n-----END PUBLIC KEY-----\n`;
}

describe("a node's own key", () => {
  for (const [kind, curve] of [
    ["hsm", "sm2"],
    ["kms", "sm2"],
    ["kms", "secp256k1"],
  ] as const)
    it(`is the one of node.pem (${kind}, ${curve})`, () => {
      using folder = new ChainFolder();
      const { publicKey } = generateKeyPair(curve);
      folder.write("node.pem", pemOf(curve, publicKey), 0o644);
      check(folder, publicKey, kind, curve);
    });

  it("may be in node.pem with its private half, as FISCO BCOS's tool puts it there", () => {
    using folder = new ChainFolder();
    const { scalar, publicKey } = generateKeyPair("sm2");
    using _ = scalar;
    using pem = writePrivateKey("sm2", scalar, "pkcs8");
    folder.write(
      "node.pem",
      pem.expose((bytes) => bytes.toString()),
    );
    check(folder, publicKey);
  });

  for (const [kind, place] of [
    ["hsm", /^under key_index 44 is the key /],
    ["kms", /^under kms_key alias\/node0 is the key /],
  ] as const)
    it(`is no other node's (${kind})`, () => {
      using folder = new ChainFolder();
      folder.write("node.pem", pemOf("sm2", generateKeyPair("sm2").publicKey), 0o644);
      assert.throws(() => check(folder, generateKeyPair("sm2").publicKey, kind), {
        code: "SIGNER_MISMATCH",
        message: place,
      });
    });

  for (const [what, content] of [
    ["missing", undefined],
    ["empty", ""],
    ["no key", "hello\n"],
    ["a key on another curve", pemOf("secp256k1", generateKeyPair("secp256k1").publicKey)],
  ] as const)
    it(`is not taken on trust when node.pem is ${what}`, () => {
      using folder = new ChainFolder();
      if (content !== undefined) folder.write("node.pem", content, 0o644);
      assert.throws(() => check(folder, generateKeyPair("sm2").publicKey), { code: "NODE_KEYS_INVALID" });
    });

  it("is in node.pem itself where no device holds it", () => {
    using folder = new ChainFolder();
    check(folder, generateKeyPair("sm2").publicKey, "file");
  });
});
