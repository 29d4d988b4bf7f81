import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { describe, it } from "node:test";
import { der, derTags, derUnsigned } from "../../../src/crypto/der.ts";
import { type KeyPairSpecName, type SigningAlgorithmName, signingAlgorithms } from "../../../src/crypto/key-specs.ts";
import { OpensslKey } from "../../../src/crypto/openssl-key.ts";
import { writePrivateKeyDer } from "../../../src/crypto/pem.ts";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { sm2SignatureToDer } from "../../../src/crypto/sm2.ts";
import { fromHex, loadVectors, withBitFlipped } from "./load-vectors.ts";

type Hex<Field extends string> = Readonly<Record<Field | "id" | "result", string>>;

interface SmVectors {
  readonly sm2_sign: readonly Hex<"px" | "py" | "e" | "r" | "s">[];
  readonly sm2_encrypt: readonly (Hex<"d" | "c1x" | "c1y" | "c2" | "c3"> & { readonly msg?: string })[];
}

interface EcdsaVectors {
  readonly cases: readonly {
    readonly id: string;
    readonly spec: KeyPairSpecName;
    readonly algorithm: SigningAlgorithmName;
    readonly message: string;
    readonly spki: string;
    readonly signature: string;
  }[];
}

const sm = loadVectors<SmVectors>("sm.json");
const sm2SpkiBeginning = "3059301306072a8648ce3d020106082a811ccf5501822d034200";

describe("keys inside OpenSSL, published examples", () => {
  for (const { id, px, py, e, r, s, result } of sm.sm2_sign)
    it(`take the SM2 signature "${id}" for ${result} over its digest`, async () => {
      const read = OpensslKey.ofPublicKey("SM2", fromHex(`${sm2SpkiBeginning}04${px}${py}`));
      if (id.startsWith("pub")) return assert.rejects(read, { code: "KEY_FORMAT_INVALID" });
      using key = await read;
      const signature = sm2SignatureToDer(fromHex(r + s));
      assert.equal(key.verifyDigest("SM2DSA", fromHex(e), signature), result === "valid");
    });

  for (const { id, d, msg, c1x, c1y, c2, c3, result } of sm.sm2_encrypt)
    it(`take the SM2 ciphertext "${id}" for ${result}`, async () => {
      using scalar = SecretBuffer.take(fromHex(d));
      using pkcs8 = writePrivateKeyDer("sm2", scalar, "pkcs8");
      using key = await OpensslKey.ofPrivateKey("SM2", pkcs8);
      const [x, y] = [derUnsigned(fromHex(c1x)), derUnsigned(fromHex(c1y))];
      const [hashPart, body] = [der(derTags.octetString, fromHex(c3)), der(derTags.octetString, fromHex(c2))];
      using opened = await key.decrypt("SM2PKE", der(derTags.sequence, x, y, hashPart, body));
      if (result !== "valid") return assert.equal(opened, undefined);
      assert.ok(opened?.equals(fromHex(msg ?? "")));
    });

  for (const { id, spec, algorithm, message, spki, signature } of loadVectors<EcdsaVectors>("ecdsa.json").cases)
    it(`take the ECDSA signature ${id}, and none with a bit changed`, async () => {
      using key = await OpensslKey.ofPublicKey(spec, fromHex(spki));
      const digest = hash(signingAlgorithms[algorithm].hash, fromHex(message), "buffer");
      assert.ok(key.verifyDigest(algorithm, digest, fromHex(signature)));
      for (let bit = 0; bit < signature.length * 4; bit++)
        assert.ok(!key.verifyDigest(algorithm, digest, withBitFlipped(fromHex(signature), bit)), `bit ${bit}`);
    });
});
