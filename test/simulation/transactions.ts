import { encodeUnsignedTransaction, transactionHash } from "../../src/chain/ledger/transaction.ts";
import type { Operation, UnsignedTransaction } from "../../src/chain/ledger/types.ts";
import type { TestChain } from "./sealers.ts";

/** An encoded transaction of the test chain's account. */
export function signedTransaction(
  { chain, account }: TestChain,
  nonce: Buffer,
  operation: Operation,
  changes: Partial<UnsignedTransaction> = {},
): Buffer {
  const { chainId, groupId, genesisHash } = chain;
  const sender = account.publicKey.subarray(1);
  const unsigned = { chainId, groupId, genesisHash, sender, nonce, blockLimit: 500, operation, ...changes };
  const hash = transactionHash(chain.suite, unsigned);
  const rs = account.sign(chain.suite.signingDigest(account.publicKey, hash));
  const signature = chain.suite.transactionSignature(account.publicKey, hash, rs);
  return Buffer.concat([encodeUnsignedTransaction(unsigned), signature]);
}

/** A `set` of a small entry named after the number. */
export function numberedSet(test: TestChain, number: number, changes: Partial<UnsignedTransaction> = {}): Buffer {
  const nonce = Buffer.alloc(16);
  nonce.writeUInt32BE(number);
  const operation = {
    kind: "set",
    key: Buffer.from(`key-${number % 7}`),
    value: Buffer.from(`value-${number}`),
  } as const;
  return signedTransaction(test, nonce, operation, changes);
}
