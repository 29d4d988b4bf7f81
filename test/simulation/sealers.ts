import { secp256k1 } from "@noble/curves/secp256k1.js";
import { Chain } from "../../src/chain/ledger/genesis.ts";
import type { ChainSuiteName } from "../../src/chain/ledger/suite.ts";
import { type CurveName, generateKeyPair, nodeIdOf } from "../../src/crypto/curve.ts";
import type { SecretBuffer } from "../../src/crypto/secret-buffer.ts";
import { sm2SignDigest } from "../../src/crypto/sm2-digest.ts";
import { keyedHash, keyedHashSuite } from "./keyed-hash-suite.ts";
import { SeededRandom } from "./random.ts";

/** A key of the test's own, which signs at once. */
export interface TestKey {
  readonly publicKey: Buffer;
  /** r ‖ s over what `ChainSuite.signingDigest` gives. */
  sign(digest: Buffer): Buffer;
}

export interface TestChain {
  readonly chain: Chain;
  /** By sealer index. */
  readonly keys: readonly TestKey[];
  readonly account: TestKey;
}

/** A chain with cheap keys, which are no points of any curve. */
export function keyedHashChain(sealers: number, seed = 1): TestChain {
  const random = new SeededRandom(seed);
  const newKey = (): TestKey => ({ publicKey: Buffer.concat([Buffer.of(4), random.bytes(64)]), sign: keyedHash });
  const keys = Array.from({ length: sealers }, newKey);
  const chain = new Chain(
    { suite: "sm", ...named, sealers: keys.map((key) => nodeIdOf(key.publicKey)) },
    keyedHashSuite,
  );
  return { chain, keys, account: newKey() };
}

/** A chain with real SM2 or secp256k1 keys. */
export function signedChain(suite: ChainSuiteName, sealers: number): TestChain {
  const keys = Array.from({ length: sealers }, () => realKey(suite));
  const chain = new Chain({ suite, ...named, sealers: keys.map((key) => nodeIdOf(key.publicKey)) });
  return { chain, keys, account: realKey(suite) };
}

/** Keys whose scalars live as long as the test. */
function realKey(suite: ChainSuiteName): TestKey {
  const curve: CurveName = suite === "sm" ? "sm2" : "secp256k1";
  const { scalar, publicKey } = generateKeyPair(curve);
  return { publicKey, sign: (digest) => (curve === "sm2" ? sm2SignDigest(scalar, digest) : ecdsa(scalar, digest)) };
}

function ecdsa(scalar: SecretBuffer, digest: Buffer): Buffer {
  return scalar.expose((key) => Buffer.from(secp256k1.sign(digest, key, { prehash: false })));
}

const named = { chainId: "chain0", groupId: "group0", timestampMs: 1_700_000_000_000 };
