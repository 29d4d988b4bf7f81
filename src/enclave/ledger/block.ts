import type { KeyObject } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { der, derTags, derUnsigned } from "../../crypto/der.ts";
import { EnclaveError } from "../errors.ts";
import {
  type Block,
  type BlockHeader,
  BlockMetadataSchema,
  BlockSchema,
  EnvelopeSchema,
  MetadataSchema,
  SignatureHeaderSchema,
} from "../messages/generated/fabric/common_pb.ts";
import { OrdererBlockMetadataSchema } from "../messages/generated/fabric/config_pb.ts";
import { readMessage, writeMessage } from "./fabric-message.ts";
import { readAsGo } from "./go-message.ts";
import { isSignedLowS, sha256, signLowS } from "./low-s.ts";
import type { Membership } from "./membership.ts";

/** Places in a block's metadata. */
export const blockMetadata = { signatures: 0, lastConfig: 1, validationCodes: 2, orderer: 3, commitHash: 4 } as const;

const maxBlockBytes = 100 << 20;

/** A block whose data is what its header says. */
export interface ReadBlock {
  readonly number: bigint;
  readonly header: BlockHeader;
  /** What the next block has as its previous hash. */
  readonly hash: Buffer;
  /** common.Envelope each. */
  readonly envelopes: readonly Uint8Array[];
  readonly metadata: readonly Uint8Array[];
}

/** SHA-256 over the header in DER: SEQUENCE { INTEGER number, OCTET STRING previous hash, OCTET STRING data hash }. */
export function headerHash(header: BlockHeader): Buffer {
  return sha256(headerDer(header));
}

/** SHA-256 over the transactions, one after the other. */
export function dataHash(envelopes: readonly Uint8Array[]): Buffer {
  return sha256(...envelopes);
}

/** @throws EnclaveError MALFORMED: no block, or its data is not what the header says */
export function readBlock(bytes: Uint8Array): ReadBlock {
  const block = decodeBlock(bytes);
  const { header } = block;
  if (header === undefined || block.data === undefined)
    throw new EnclaveError("MALFORMED", "a block has no header or no data");
  const envelopes = block.data.data;
  if (!dataHash(envelopes).equals(header.dataHash))
    throw new EnclaveError("MALFORMED", `the data of block ${header.number} is not what its header says`);
  return {
    number: header.number,
    header,
    hash: headerHash(header),
    envelopes,
    metadata: block.metadata?.metadata ?? [],
  };
}

/**
 * Demands that a block's transactions are those that its orderer put there. The hash in the header is over all of them without
 * their lengths, so that it stays the same when bytes go from one to the next: two in one would be read as the second alone. As
 * Fabric's peers do, each has to be as an orderer encodes it, whole and nothing more; with that there is one way to cut them.
 *
 * @throws EnclaveError MALFORMED
 */
export function requireWholeTransactions({ number, envelopes }: Pick<ReadBlock, "number" | "envelopes">): void {
  for (const [position, envelope] of envelopes.entries())
    if (!isWholeEnvelope(envelope))
      throw new EnclaveError("MALFORMED", `transaction ${position} of block ${number} is not as an orderer encodes it`);
}

/** Payload and signature, each once and in this order; then what later clients may add. */
export function isWholeEnvelope(bytes: Uint8Array): boolean {
  const { payload, signature } = readAsGo(EnvelopeSchema, bytes);
  if (payload.length === 0 || signature.length === 0) return false;
  const known = toBinary(EnvelopeSchema, create(EnvelopeSchema, { payload, signature }));
  if (Buffer.compare(known, bytes.subarray(0, known.length)) !== 0) return false;
  const added = readAsGo(EnvelopeSchema, bytes.subarray(known.length));
  return added.payload.length === 0 && added.signature.length === 0;
}

/** @throws EnclaveError WRONG_CONTEXT: `block` is not the one that comes after the one of this number and hash */
export function requireFollows(
  block: ReadBlock,
  previous: { readonly number: bigint; readonly hash: Uint8Array },
): void {
  if (block.number !== previous.number + 1n || !Buffer.from(previous.hash).equals(block.header.previousHash))
    throw new EnclaveError("WRONG_CONTEXT", `block ${block.number} does not follow block ${previous.number}`);
}

/** Who makes a block. */
export interface BlockSigner {
  /** msp.SerializedIdentity */
  readonly serialized: Uint8Array;
  readonly key: KeyObject;
}

/** A signed block after the one of `previous`; common.Block. */
export function makeBlock(
  number: bigint,
  previousHash: Uint8Array,
  envelopes: readonly Uint8Array[],
  nonce: Uint8Array,
  signer: BlockSigner,
): Buffer {
  const block = create(BlockSchema, {
    header: { number, previousHash, dataHash: dataHash(envelopes) },
    data: { data: [...envelopes] },
    metadata: { metadata: [] },
  });
  const { header, metadata } = block;
  if (header === undefined || metadata === undefined) throw new TypeError("a block has a header");
  const value = toBinary(OrdererBlockMetadataSchema, create(OrdererBlockMetadataSchema, { lastConfig: { index: 0n } }));
  const signatureHeader = toBinary(
    SignatureHeaderSchema,
    create(SignatureHeaderSchema, { creator: signer.serialized, nonce }),
  );
  const signature = signLowS(Buffer.concat([value, signatureHeader, headerDer(header)]), signer.key);
  metadata.metadata = [
    toBinary(MetadataSchema, create(MetadataSchema, { value, signatures: [{ signatureHeader, signature }] })),
    new Uint8Array(),
    new Uint8Array(),
    new Uint8Array(),
    new Uint8Array(),
  ];
  return writeMessage(BlockSchema, block);
}

/** Whether an orderer of the channel signed it. @param orderers - Of the channel's orderer organisations. */
export function isSignedByOrderer(block: ReadBlock, orderers: Membership): boolean {
  const bytes = block.metadata[blockMetadata.signatures];
  if (bytes === undefined) return false;
  try {
    const { value, signatures } = readMessage(MetadataSchema, bytes);
    return signatures.some(({ signatureHeader, signature }) => {
      const identity = orderers.identify(readMessage(SignatureHeaderSchema, signatureHeader).creator);
      const signed = Buffer.concat([value, signatureHeader, headerDer(block.header)]);
      return identity?.role === "orderer" && isSignedLowS(signed, signature, identity.key);
    });
  } catch {
    return false;
  }
}

/** The block as a peer keeps it: with the validation code of each transaction, and the hash of what it had committed by then. */
export function withValidation(bytes: Uint8Array, codes: readonly number[], commitHash: Uint8Array): Buffer {
  const block = decodeBlock(bytes);
  const metadata = [...(block.metadata?.metadata ?? [])];
  while (metadata.length <= blockMetadata.commitHash) metadata.push(new Uint8Array());
  metadata[blockMetadata.validationCodes] = Uint8Array.from(codes);
  metadata[blockMetadata.commitHash] = toBinary(MetadataSchema, create(MetadataSchema, { value: commitHash }));
  block.metadata = create(BlockMetadataSchema, { metadata });
  return writeMessage(BlockSchema, block);
}

function decodeBlock(bytes: Uint8Array): Block {
  if (bytes.length > maxBlockBytes) throw new EnclaveError("MALFORMED", "a block is too long");
  return readMessage(BlockSchema, bytes);
}

function headerDer({ number, previousHash, dataHash }: BlockHeader): Buffer {
  const digits = number.toString(16);
  return der(
    derTags.sequence,
    derUnsigned(Buffer.from(digits.padStart(digits.length + (digits.length % 2), "0"), "hex")),
    der(derTags.octetString, previousHash),
    der(derTags.octetString, dataHash),
  );
}
