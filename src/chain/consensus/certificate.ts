import { BinaryReader, BinaryWriter } from "../ledger/binary.ts";
import { readBlock, readSignatures, writeBlock, writeSignatures } from "../ledger/block.ts";
import type { Chain } from "../ledger/genesis.ts";
import { hashBytes } from "../ledger/suite.ts";
import type { Block, SealerSignature } from "../ledger/types.ts";
import { quorumSigned } from "./vote.ts";

/** Prepare votes of a quorum: no other block can have been prepared in that view. */
export interface PreparedCertificate {
  readonly view: number;
  /** Hash of the block. */
  readonly digest: Buffer;
  readonly signatures: readonly SealerSignature[];
}

/** A prepared block: what a replica must carry into later views. */
export interface PreparedBlock {
  readonly certificate: PreparedCertificate;
  readonly block: Block;
}

const domain = Buffer.from("prepared");

/** What a view change says of the past: the hash of `"prepared" ‖ view (4) ‖ block hash`, or of `"prepared"` for nothing. */
export function claimDigest(chain: Chain, certificate: PreparedCertificate | undefined): Buffer {
  if (certificate === undefined) return chain.suite.hash(domain);
  return chain.suite.hash(new BinaryWriter().fixed(domain).u32(certificate.view).fixed(certificate.digest).end());
}

export function certificateHolds(chain: Chain, height: number, certificate: PreparedCertificate): boolean {
  const { view, digest, signatures } = certificate;
  return quorumSigned(chain, { height, view, phase: "prepare", digest }, signatures);
}

/** view (4) ‖ block hash (32) ‖ signatures. */
export function writeCertificate(writer: BinaryWriter, certificate: PreparedCertificate): void {
  writer.u32(certificate.view).fixed(certificate.digest);
  writeSignatures(writer, certificate.signatures);
}

/** @throws {LedgerError} `ENCODING_INVALID`. */
export function readCertificate(chain: Chain, reader: BinaryReader): PreparedCertificate {
  return { view: reader.u32(), digest: reader.fixed(hashBytes), signatures: readSignatures(chain.suite, reader) };
}

/** certificate ‖ block. */
export function encodePrepared({ certificate, block }: PreparedBlock): Buffer {
  const writer = new BinaryWriter();
  writeCertificate(writer, certificate);
  writeBlock(writer, block);
  return writer.end();
}

/** @throws {LedgerError} `ENCODING_INVALID`. */
export function decodePrepared(chain: Chain, encoded: Buffer): PreparedBlock {
  const reader = new BinaryReader(encoded, "the prepared block");
  const certificate = readCertificate(chain, reader);
  const block = readBlock(chain.suite, reader);
  reader.end();
  if (!block.hash.equals(certificate.digest)) throw reader.invalid("is not the block that its certificate names");
  return { certificate, block };
}
