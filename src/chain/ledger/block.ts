import { BinaryReader, BinaryWriter } from "./binary.ts";
import { maxSealers } from "./genesis.ts";
import { encodeHeader, headerHash, readHeader } from "./header.ts";
import { merkleRoot } from "./merkle.ts";
import type { ChainSuite } from "./suite.ts";
import { decodeTransaction, maxTransactionBytes } from "./transaction.ts";
import type { Block, CommitProof, FinalBlock, SealerSignature, Transaction } from "./types.ts";

export const maxBlockTransactions = 2000;
/** Of all transactions' encodings in one block. */
export const maxBlockBytes = 2 * 1024 * 1024;

/** header ‖ number of transactions (4) ‖ each transaction, its length before it. */
export function writeBlock(writer: BinaryWriter, block: Block): void {
  writer.fixed(encodeHeader(block.header)).u32(block.transactions.length);
  for (const transaction of block.transactions) writer.bytes(transaction.encoded);
}

/**
 * Reads a block whose transactions are those that its header names, so that its hash stands for all of it. What they do, their
 * signatures and the place in the chain are not checked here.
 *
 * @throws {LedgerError} `ENCODING_INVALID`.
 */
export function readBlock(suite: ChainSuite, reader: BinaryReader): Block {
  const header = readHeader(reader);
  const count = reader.count(maxBlockTransactions, 5);
  const transactions: Transaction[] = [];
  let bytes = 0;
  for (let i = 0; i < count; i++) {
    const encoded = reader.bytes(maxTransactionBytes);
    bytes += encoded.length;
    if (bytes > maxBlockBytes) throw reader.invalid(`has more than ${maxBlockBytes} bytes of transactions`);
    transactions.push(decodeTransaction(suite, encoded));
  }
  if (header.transactionCount !== count) throw reader.invalid("has another number of transactions than its header");
  const root = merkleRoot(
    suite,
    transactions.map(({ encoded }) => encoded),
  );
  if (!root.equals(header.transactionsRoot)) throw reader.invalid("has other transactions than its header names");
  return { header, hash: headerHash(suite, header), transactions };
}

/** view (4) ‖ number of signatures (2) ‖ each: sealer (2), signature (64 or 65 by suite). */
export function writeProof(writer: BinaryWriter, proof: CommitProof): void {
  writer.u32(proof.view);
  writeSignatures(writer, proof.signatures);
}

/** @throws {LedgerError} `ENCODING_INVALID`. */
export function readProof(suite: ChainSuite, reader: BinaryReader): CommitProof {
  return { view: reader.u32(), signatures: readSignatures(suite, reader) };
}

export function writeSignatures(writer: BinaryWriter, signatures: readonly SealerSignature[]): void {
  writer.u16(signatures.length);
  for (const { sealer, signature } of signatures) writer.u16(sealer).fixed(signature);
}

/** Sealers must ascend, so that no one counts twice. */
export function readSignatures(suite: ChainSuite, reader: BinaryReader): SealerSignature[] {
  const count = reader.u16();
  if (count > maxSealers) throw reader.invalid(`has ${count} signatures, more than a chain has sealers`);
  const signatures: SealerSignature[] = [];
  for (let i = 0; i < count; i++) {
    const sealer = reader.u16();
    if (sealer <= (signatures[i - 1]?.sealer ?? -1)) throw reader.invalid("has signatures that are not in order");
    signatures.push({ sealer, signature: reader.fixed(suite.sealerSignatureBytes) });
  }
  return signatures;
}

/** The form of a block in the store and between nodes: block ‖ proof. */
export function encodeFinalBlock(block: FinalBlock): Buffer {
  const writer = new BinaryWriter();
  writeBlock(writer, block);
  writeProof(writer, block.proof);
  return writer.end();
}

/** @throws {LedgerError} `ENCODING_INVALID`. The proof is checked by `proofHolds`. */
export function decodeFinalBlock(suite: ChainSuite, encoded: Buffer): FinalBlock {
  const reader = new BinaryReader(encoded, "the block");
  const block = readBlock(suite, reader);
  const proof = readProof(suite, reader);
  reader.end();
  return { ...block, proof };
}
