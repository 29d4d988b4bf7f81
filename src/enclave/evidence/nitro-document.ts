import { badEvidence } from "./verifier.ts";

/** A COSE_Sign1 (RFC 9052 section 4.2) by ES384, as a Nitro Secure Module writes it: untagged, no unprotected header. */
export interface CoseSign1 {
  readonly payload: Buffer;
  /** `r ‖ s`, 96 bytes. */
  readonly signature: Buffer;
  /** What the signature is over: the Sig_structure in CBOR. */
  readonly signedBytes: Buffer;
}

/** What a document says (AWS's attestation process, section "Attestation document content"). */
export interface NitroDocument {
  readonly timestampMs: number;
  /** 48 bytes each. */
  readonly pcrs: ReadonlyMap<number, Buffer>;
  /** DER. */
  readonly certificate: Buffer;
  /** DER, the root first. */
  readonly authorities: readonly Buffer[];
  readonly userData: Buffer | undefined;
}

/** The protected header { 1: -35 } (ES384) as a byte string, and how a byte string of more than 255 bytes begins. */
const protectedHeader = Buffer.from("44a1013822", "hex");
const [arrayOf4, emptyMap, longBytes] = [0x84, 0xa0, 0x59];
const signatureHead = Buffer.from("5860", "hex");
const maxDocumentBytes = 16_384;

/** Reads the one form that there is, byte for byte. @throws EnclaveError BAD_EVIDENCE */
export function readCoseSign1(bytes: Buffer): CoseSign1 {
  if (bytes.length > maxDocumentBytes) throw badEvidence("the document is too long");
  const head = Buffer.concat([Buffer.of(arrayOf4), protectedHeader, Buffer.of(emptyMap, longBytes)]);
  const payloadStart = head.length + 2;
  if (bytes.length < payloadStart || !bytes.subarray(0, head.length).equals(head))
    throw badEvidence("the document is not a COSE_Sign1 by ES384");
  const payloadEnd = payloadStart + bytes.readUInt16BE(head.length);
  const signatureStart = payloadEnd + signatureHead.length;
  if (bytes.length !== signatureStart + 96 || !bytes.subarray(payloadEnd, signatureStart).equals(signatureHead))
    throw badEvidence("the document's signature is not where it has to be");
  // The library's encoder takes a Node Buffer for an object, so that what it would sign is something else: written by hand.
  const payloadElement = bytes.subarray(head.length - 1, payloadEnd);
  const signedBytes = Buffer.concat([
    Buffer.of(arrayOf4, 0x6a),
    Buffer.from("Signature1", "ascii"),
    protectedHeader,
    Buffer.of(0x40),
    payloadElement,
  ]);
  return { payload: bytes.subarray(payloadStart, payloadEnd), signature: bytes.subarray(signatureStart), signedBytes };
}

/** @throws EnclaveError BAD_EVIDENCE */
export async function readNitroDocument(payload: Buffer): Promise<NitroDocument> {
  const { decode } = await import("cbor2");
  let value: unknown;
  try {
    value = decode(new Uint8Array(payload), { preferMap: true, rejectDuplicateKeys: true });
  } catch {
    throw badEvidence("the document's payload is not CBOR");
  }
  const field = (name: string) => (value instanceof Map ? (value.get(name) as unknown) : undefined);
  const timestamp = Number(field("timestamp"));
  if (field("digest") !== "SHA384" || !Number.isSafeInteger(timestamp) || timestamp <= 0)
    throw badEvidence("the document has no digest or timestamp of its form");
  const authorities = field("cabundle");
  if (!Array.isArray(authorities) || authorities.length < 1 || authorities.length > 5)
    throw badEvidence("the document's cabundle is not of its form");
  const userData = field("user_data");
  return {
    timestampMs: timestamp,
    pcrs: readPcrs(field("pcrs")),
    certificate: bytesOf(field("certificate"), "certificate"),
    authorities: authorities.map((one) => bytesOf(one, "cabundle")),
    userData: userData === null || userData === undefined ? undefined : bytesOf(userData, "user_data"),
  };
}

function readPcrs(value: unknown): ReadonlyMap<number, Buffer> {
  if (!(value instanceof Map) || value.size > 32) throw badEvidence("the document's PCRs are not of their form");
  const pcrs = new Map<number, Buffer>();
  for (const [index, digest] of value as Map<unknown, unknown>) {
    const bytes = bytesOf(digest, "PCR");
    if (typeof index !== "number" || !Number.isInteger(index) || index < 0 || index > 31 || bytes.length !== 48)
      throw badEvidence("the document's PCRs are not of their form");
    pcrs.set(index, bytes);
  }
  return pcrs;
}

function bytesOf(value: unknown, name: string): Buffer {
  if (!(value instanceof Uint8Array)) throw badEvidence(`the document's ${name} is not bytes`);
  return Buffer.from(value);
}
