import { MemoryLevel } from "memory-level";
import { voteHash } from "../../../../src/chain/consensus/vote.ts";
import { Chain } from "../../../../src/chain/ledger/genesis.ts";
import { type ExecutedBlock, Ledger } from "../../../../src/chain/ledger/ledger.ts";
import { signTransaction } from "../../../../src/chain/ledger/transaction.ts";
import type { FinalBlock, Operation, Transaction } from "../../../../src/chain/ledger/types.ts";
import type { StoreDatabase } from "../../../../src/chain/node/chain-store.ts";
import { SoftSigner } from "../../../../src/chain/node/soft-signer.ts";
import { generateKeyPair, nodeIdOf } from "../../../../src/crypto/curve.ts";
import { writePrivateKey } from "../../../../src/crypto/pem.ts";

export async function softSigner(): Promise<SoftSigner> {
  using scalar = generateKeyPair("sm2").scalar;
  using pem = writePrivateKey("sm2", scalar, "pkcs8");
  return SoftSigner.ofPem(pem, "sm2");
}

/** Four sealers whose keys the test has: it makes final blocks by itself. */
export class TestChain {
  readonly chain: Chain;
  readonly ledger: Ledger;
  readonly #sealers: readonly SoftSigner[];
  readonly #account: SoftSigner;

  private constructor(sealers: readonly SoftSigner[], account: SoftSigner) {
    this.#sealers = sealers;
    this.#account = account;
    this.chain = new Chain({
      suite: "sm",
      chainId: "chain0",
      groupId: "group0",
      timestampMs: 0,
      sealers: sealers.map(({ publicKey }) => nodeIdOf(publicKey)),
    });
    this.ledger = new Ledger(this.chain);
  }

  static async create(): Promise<TestChain> {
    return new TestChain(await Promise.all([1, 2, 3, 4].map(() => softSigner())), await softSigner());
  }

  transaction(operation: Operation, number: number): Promise<Transaction> {
    const { suite, chainId, groupId, genesisHash } = this.chain;
    const nonce = Buffer.alloc(16);
    nonce.writeUInt32BE(number);
    return signTransaction(suite, this.#account, { chainId, groupId, genesisHash, nonce, blockLimit: 100, operation });
  }

  /** The next block, with the commits of `signers`. */
  async next(
    transactions: readonly Transaction[],
    signers: readonly number[] = [0, 1, 2],
  ): Promise<ExecutedBlock & { readonly final: FinalBlock }> {
    const executed = this.ledger.propose(transactions, 1, 1000 * (this.ledger.height + 1));
    const { header, hash } = executed.block;
    const vote = voteHash(this.chain, { height: header.height, view: 0, phase: "commit", digest: hash });
    const signatures = await Promise.all(
      signers.map(async (sealer) => {
        const signer = this.#sealers[sealer];
        if (signer === undefined) throw new RangeError(`there is no sealer ${sealer}`);
        const { suite } = this.chain;
        const rs = await signer.sign(suite.signingDigest(signer.publicKey, vote));
        return { sealer, signature: suite.sealerSignature(signer.publicKey, vote, rs) };
      }),
    );
    this.ledger.append(executed);
    return { ...executed, final: { ...executed.block, proof: { view: 0, signatures } } };
  }
}

export async function memoryDatabase(): Promise<StoreDatabase> {
  const level = new MemoryLevel<Buffer, Buffer>({ keyEncoding: "buffer", valueEncoding: "buffer" });
  await level.open();
  return level as unknown as StoreDatabase;
}
