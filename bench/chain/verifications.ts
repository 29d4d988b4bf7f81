import { randomBytes } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import type { ChainSuite } from "../../src/chain/ledger/suite.ts";
import { signTransaction } from "../../src/chain/ledger/transaction.ts";
import { SoftSigner } from "../../src/chain/node/soft-signer.ts";
import { generateKeyPair } from "../../src/crypto/curve.ts";
import { writePrivateKey } from "../../src/crypto/pem.ts";

/** Milliseconds of CPU time that the check of one transaction's signature takes, and nothing else: what a node can't do without. */
export async function verificationCpuMs(suite: ChainSuite, seconds: number): Promise<number> {
  using scalar = generateKeyPair(suite.algorithm).scalar;
  using pem = writePrivateKey(suite.algorithm, scalar, "pkcs8");
  using signer = await SoftSigner.ofPem(pem, suite.algorithm);
  const operation = { kind: "get", key: Buffer.from("key") } as const;
  const unsigned = {
    chainId: "chain0",
    groupId: "group0",
    genesisHash: randomBytes(32),
    nonce: randomBytes(32),
    blockLimit: 1,
    operation,
  };
  const { hash, signature } = await signTransaction(suite, signer, unsigned);
  let made = 0;
  const check = (endsMs: number) => {
    for (made = 0; performance.now() < endsMs; made++)
      if (suite.senderOf(hash, signature) === undefined) throw new Error("a good signature was refused");
  };
  check(performance.now() + 200);
  // What the suite loads on its first use comes in turns of the event loop.
  await pause(200);
  const before = process.cpuUsage();
  check(performance.now() + seconds * 1000);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000 / made;
}
