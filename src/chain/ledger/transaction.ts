import { BinaryReader, BinaryWriter } from "./binary.ts";
import { LedgerError } from "./errors.ts";
import { maxNameBytes } from "./genesis.ts";
import type { DigestSigner } from "./signer.ts";
import { type ChainSuite, hashBytes } from "./suite.ts";
import type { Operation, Transaction, TransactionBody, UnsignedTransaction } from "./types.ts";

export const minNonceBytes = 16;
export const maxNonceBytes = 32;
/** X ‖ Y. */
export const senderBytes = 64;
export const maxKeyBytes = 256;
export const maxValueBytes = 4096;
/** Longest encoding: every part at its longest. */
export const maxTransactionBytes =
  1 +
  2 * (4 + maxNameBytes) +
  hashBytes +
  senderBytes +
  4 +
  maxNonceBytes +
  8 +
  1 +
  4 +
  maxKeyBytes +
  4 +
  maxValueBytes +
  128;

const version = 2;
const operationCodes = { set: 1, get: 2 } as const;
const domain = Buffer.from("transaction");

/**
 * The canonical encoding without a signature:
 *
 *     version 02 ‖ chain id ‖ group id ‖ genesis hash (32) ‖ sender (64) ‖ nonce ‖ block limit (8) ‖ operation (1) ‖ key ‖
 *     value (of `set` only)
 *
 * where text and byte strings have their length before them in 4 bytes.
 */
export function encodeUnsignedTransaction(transaction: UnsignedTransaction): Buffer {
  const { operation } = transaction;
  const writer = new BinaryWriter()
    .u8(version)
    .text(transaction.chainId)
    .text(transaction.groupId)
    .fixed(transaction.genesisHash)
    .fixed(transaction.sender)
    .bytes(transaction.nonce)
    .u64(transaction.blockLimit)
    .u8(operationCodes[operation.kind])
    .bytes(operation.key);
  if (operation.kind === "set") writer.bytes(operation.value);
  return writer.end();
}

/** What the sender signs, and the transaction's name: the hash of `"transaction" ‖ unsigned encoding`. */
export function transactionHash(suite: ChainSuite, transaction: UnsignedTransaction): Buffer {
  return suite.hash(domain, encodeUnsignedTransaction(transaction));
}

/**
 * Signs a transaction with an account's key.
 *
 * @throws {LedgerError} `TRANSACTION_REFUSED` for parts out of their limits; `SIGNATURE_UNUSABLE` when the device's answer
 *   is no signature of its key.
 */
export async function signTransaction(
  suite: ChainSuite,
  signer: DigestSigner,
  given: TransactionBody,
): Promise<Transaction> {
  if (signer.algorithm !== suite.algorithm)
    throw new LedgerError(
      "TRANSACTION_REFUSED",
      `a ${suite.name} chain takes ${suite.algorithm} keys, not ${signer.algorithm}`,
    );
  const unsigned: UnsignedTransaction = { ...given, sender: signer.publicKey.subarray(1) };
  const body = encodeUnsignedTransaction(unsigned);
  try {
    readUnsigned(new BinaryReader(body, "the transaction")).end();
  } catch (cause) {
    throw new LedgerError("TRANSACTION_REFUSED", "a part of the transaction is longer or shorter than allowed", cause);
  }
  const hash = suite.hash(domain, body);
  const rs = await signer.sign(suite.signingDigest(signer.publicKey, hash));
  const signature = suite.transactionSignature(signer.publicKey, hash, rs);
  return { ...unsigned, hash, signature, encoded: Buffer.concat([body, signature]) };
}

/** Whether the signature is that of the sender whom the transaction names. */
export function isSignedBySender(suite: ChainSuite, { hash, sender, signature }: Transaction): boolean {
  return suite.senderOf(hash, signature)?.subarray(1).equals(sender) === true;
}

/**
 * Reads unsigned encoding ‖ signature. The signature is not checked.
 *
 * @throws {LedgerError} `ENCODING_INVALID`.
 */
export function decodeTransaction(suite: ChainSuite, encoded: Buffer): Transaction {
  const bodyBytes = encoded.length - suite.transactionSignatureBytes;
  if (bodyBytes < 1 || encoded.length > maxTransactionBytes)
    throw new LedgerError("ENCODING_INVALID", `a transaction of ${encoded.length} bytes is too short or too long`);
  const body = encoded.subarray(0, bodyBytes);
  const reader = new BinaryReader(body, "the transaction");
  const read = readUnsigned(reader);
  read.end();
  return {
    ...read.transaction,
    hash: suite.hash(domain, body),
    signature: Buffer.from(encoded.subarray(bodyBytes)),
    encoded: Buffer.from(encoded),
  };
}

function readUnsigned(reader: BinaryReader): { readonly transaction: UnsignedTransaction; end(): void } {
  if (reader.u8() !== version) throw reader.invalid("has an unknown version");
  const chainId = reader.text(maxNameBytes);
  const groupId = reader.text(maxNameBytes);
  const genesisHash = reader.fixed(hashBytes);
  const sender = reader.fixed(senderBytes);
  const nonce = reader.bytes(maxNonceBytes, minNonceBytes);
  const blockLimit = reader.u64();
  return {
    transaction: { chainId, groupId, genesisHash, sender, nonce, blockLimit, operation: readOperation(reader) },
    end: () => reader.end(),
  };
}

function readOperation(reader: BinaryReader): Operation {
  const code = reader.u8();
  const key = reader.bytes(maxKeyBytes, 1);
  if (code === operationCodes.get) return { kind: "get", key };
  if (code === operationCodes.set) return { kind: "set", key, value: reader.bytes(maxValueBytes) };
  throw reader.invalid("asks for an unknown operation");
}
