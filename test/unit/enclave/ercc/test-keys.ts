import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { ChaincodeGeneration } from "../../../../src/enclave/protocol/chaincode-keys.ts";

const vectors = JSON.parse(readFileSync(join(import.meta.dirname, "../../../vectors/fpc/keys.json"), "utf8")) as {
  readonly encryption: Readonly<Record<string, { readonly public: string; readonly private: string }>>;
};
const rsaNames = Object.keys(vectors.encryption);

/** An RSA-3072 pair of the vectors, which take too long to be made anew; each number has one of its own. */
export function rsaPair(number: number): { readonly publicPem: Buffer; readonly privateKey: KeyObject } {
  const pair = vectors.encryption[rsaNames[number] ?? ""];
  if (pair === undefined) throw new RangeError(`the vectors have ${rsaNames.length} RSA pairs`);
  return { publicPem: Buffer.from(pair.public), privateKey: createPrivateKey(pair.private) };
}

/** A generation whose DK is that RSA pair's; every SEK is the same 16 bytes, which no test depends on. */
export function testGeneration(number: bigint, rsa: number): ChaincodeGeneration {
  const dkPem = SecretBuffer.take(Buffer.from(rsaPair(rsa).privateKey.export({ type: "pkcs1", format: "pem" })));
  return new ChaincodeGeneration(number, SecretBuffer.take(Buffer.alloc(16, 0x5e)), dkPem);
}

export interface SigningPair {
  readonly key: KeyObject;
  readonly publicPem: Buffer;
}

export function signingPair(): SigningPair {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  return {
    key: privateKey,
    publicPem: Buffer.from(createPublicKey(privateKey).export({ type: "spki", format: "pem" })),
  };
}
