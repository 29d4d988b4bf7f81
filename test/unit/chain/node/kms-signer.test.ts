import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { chmodSync } from "node:fs";
import { describe, it } from "node:test";
import type { ChainNodeConfig } from "../../../../src/chain/build/config-reader.ts";
import { chainSuites } from "../../../../src/chain/ledger/suite.ts";
import { openSigner, sealerIndex } from "../../../../src/chain/node/open-signer.ts";
import { mayHaveSigned } from "../../../../src/chain/node/signing-failure.ts";
import { generateKeyPair, nodeIdOf } from "../../../../src/crypto/curve.ts";
import { der, derTags, derUnsigned } from "../../../../src/crypto/der.ts";
import { sm2SignatureToRaw } from "../../../../src/crypto/sm2.ts";
import { awsError, KmsStub, plantedSecret } from "../../devices/aws-kms/kms-stub.ts";
import { keyArn, StubSigningKey } from "../../devices/aws-kms/signing-stub.ts";
import { ChainFolder } from "../build/chain-folder.ts";

const order = 0xffff_ffff_ffff_ffff_ffff_ffff_ffff_fffe_baae_dce6_af48_a03b_bfd2_5e8c_d036_4141n;

/** What config.ini and config.genesis say of a node whose key is at a stub. */
class KmsNode implements AsyncDisposable {
  readonly folder = new ChainFolder();
  readonly stub: KmsStub;
  readonly key: StubSigningKey;
  readonly config: Pick<ChainNodeConfig, "signing" | "genesis">;

  private constructor(stub: KmsStub, key: StubSigningKey, smCrypto: boolean) {
    this.stub = stub;
    this.key = key;
    key.serve(stub);
    const other = generateKeyPair(smCrypto ? "sm2" : "secp256k1").publicKey;
    const sealers = [other, key.publicKey].map((publicKey) => ({ nodeId: nodeIdOf(publicKey), weight: 1 }));
    const secretFile = this.folder.write("kms_secret", `${plantedSecret}\n`);
    const access = { region: "eu-west-1", accessKeyId: "AKIAEXAMPLE123456789", secretFile, url: stub.endpoint };
    this.config = {
      signing: {
        kind: "kms",
        kms: { ...access, key: "alias/node0" },
        publicKeyPath: this.folder.at("node.pem"),
      },
      genesis: { smCrypto, sealers } as unknown as ChainNodeConfig["genesis"],
    };
  }

  static async start(curve: "sm2" | "secp256k1"): Promise<KmsNode> {
    return new KmsNode(await KmsStub.start(), await StubSigningKey.make(curve), curve === "sm2");
  }

  open() {
    return openSigner(this.config, undefined, () => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stub[Symbol.asyncDispose]();
    this.key[Symbol.dispose]();
    this.folder[Symbol.dispose]();
  }
}

describe("a node's key in a KMS", () => {
  for (const [curve, suite] of [
    ["sm2", chainSuites.sm],
    ["secp256k1", chainSuites.standard],
  ] as const)
    it(`signs what the chain's votes are on ${curve}`, async () => {
      await using node = await KmsNode.start(curve);
      await using opened = await node.open();
      assert.equal(sealerIndex(node.config, opened.signer), 1);
      assert.equal(opened.description, `${keyArn} of a KMS`);
      for (let round = 0; round < 8; round++) {
        const hash = randomBytes(32);
        const rs = await opened.signer.sign(suite.signingDigest(opened.signer.publicKey, hash));
        const signature = suite.sealerSignature(opened.signer.publicKey, hash, rs);
        assert.ok(suite.verifier(opened.signer.publicKey).verify(hash, signature));
        assert.ok(signature.subarray(0, 64).equals(rs));
      }
    });

  it("gives the lower s of secp256k1, whichever the KMS gave", async () => {
    await using node = await KmsNode.start("secp256k1");
    await using opened = await node.open();
    const number = (bytes: Buffer) => BigInt(`0x${bytes.toString("hex")}`);
    const flip = (signature: Buffer) => {
      const raw = sm2SignatureToRaw(signature);
      const s = Buffer.from((order - number(raw.subarray(32))).toString(16).padStart(64, "0"), "hex");
      return der(derTags.sequence, derUnsigned(raw.subarray(0, 32)), derUnsigned(s));
    };
    for (const change of [flip, (signature: Buffer) => signature])
      for (let round = 0; round < 6; round++) {
        node.key.serve(node.stub, {
          sign: (_, honest) => {
            const { Signature } = honest as { readonly Signature: string };
            return { ...honest, Signature: change(Buffer.from(Signature, "base64")).toString("base64") };
          },
        });
        const hash = randomBytes(32);
        const rs = await opened.signer.sign(hash);
        assert.ok(number(rs.subarray(32)) <= order / 2n);
        chainSuites.standard.sealerSignature(opened.signer.publicKey, hash, rs);
      }
  });

  it("is refused when it is none of the chain's", async () => {
    await using node = await KmsNode.start("sm2");
    using stranger = await StubSigningKey.make("sm2");
    stranger.serve(node.stub);
    await using opened = await node.open();
    assert.throws(() => sealerIndex(node.config, opened.signer), { code: "SIGNER_MISMATCH", message: /kms_key/ });
  });

  it("is refused when it is on the other kind of chain's curve", async () => {
    await using node = await KmsNode.start("sm2");
    using other = await StubSigningKey.make("secp256k1");
    other.serve(node.stub);
    await assert.rejects(node.open(), { code: "KMS_KEY_UNSUITABLE", exitCode: 2 });
  });

  it("gives no vote when the KMS holds another key than at the start", async () => {
    await using node = await KmsNode.start("sm2");
    await using opened = await node.open();
    using swapped = await StubSigningKey.make("sm2");
    swapped.serve(node.stub);
    await assert.rejects(opened.signer.sign(randomBytes(32)), { code: "KMS_KEY_CHANGED", exitCode: 5 });
  });

  it("is not asked for with a secret that others may read, that is missing, or that is none", async () => {
    await using node = await KmsNode.start("sm2");
    const file = node.folder.at("kms_secret");
    chmodSync(file, 0o640);
    await assert.rejects(node.open(), { code: "FILE_UNSAFE", message: /secret access key and is open to others/ });
    for (const content of ["", "short", "two lines\nof 16 characters", "x".repeat(129)]) {
      chmodSync(file, 0o600);
      node.folder.write("kms_secret", content);
      await assert.rejects(node.open(), { code: "KMS_SETTINGS_INVALID", exitCode: 2 });
    }
    const { signing } = node.config;
    assert.ok(signing.kind === "kms");
    const elsewhere = { ...signing, kms: { ...signing.kms, secretFile: node.folder.at("none") } };
    await assert.rejects(
      openSigner({ ...node.config, signing: elsewhere }, undefined, () => {}),
      { code: "FILE_UNUSABLE" },
    );
    assert.equal(node.stub.requests.length, 0);
  });

  it("is not asked for over a certificate that is none", async () => {
    await using node = await KmsNode.start("sm2");
    const { signing } = node.config;
    assert.ok(signing.kind === "kms");
    for (const [content, code] of [
      ["no certificate", "KMS_SETTINGS_INVALID"],
      ["x".repeat(9000), "KMS_SETTINGS_INVALID"],
      [undefined, "FILE_UNUSABLE"],
    ] as const) {
      const caFile = content === undefined ? node.folder.at("none") : node.folder.write("ca", content);
      const config = { ...node.config, signing: { ...signing, kms: { ...signing.kms, caFile } } };
      await assert.rejects(
        openSigner(config, undefined, () => {}),
        { code },
      );
    }
  });

  it("may be asked again only for what it surely has not signed", async () => {
    await using node = await KmsNode.start("sm2");
    await using opened = await node.open();
    const failure = () =>
      opened.signer.sign(randomBytes(32)).then(
        () => assert.fail("it signed"),
        (error: unknown) => error,
      );
    for (const [name, status, asks] of [
      ["DisabledException", 400, true],
      ["AccessDeniedException", 400, true],
      ["ThrottlingException", 400, true],
      ["KMSInternalException", 500, false],
      ["SomethingNewException", 400, false],
    ] as const) {
      node.stub.answer = awsError(name, status);
      assert.equal(mayHaveSigned(await failure()), !asks, name);
    }
    node.stub.answer = (_, response) => response.destroy();
    assert.equal(mayHaveSigned(await failure()), true);
    await node.stub[Symbol.asyncDispose]();
    assert.equal(mayHaveSigned(await failure()), false);
  });
});
