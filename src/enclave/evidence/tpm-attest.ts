import { badEvidence } from "./verifier.ts";

/** Of the TPM 2.0 Library specification, part 2. */
const generatedValue = 0xff544347;
const attestQuote = 0x8018;
const algorithms = { sha256: 0x000b, ecdsa: 0x0018 } as const;

/** What TPM2_Quote signs (TPMS_ATTEST of type TPM_ST_ATTEST_QUOTE), of one PCR of the SHA-256 bank. */
export interface TpmQuote {
  /** What the asker had put in. */
  readonly extraData: Buffer;
  readonly pcr: number;
  /** SHA-256 over the PCR's value. */
  readonly pcrDigest: Buffer;
}

/**
 * Parses a quote strictly: made by the TPM (magic), a quote (type), of exactly one PCR of exactly the SHA-256 bank, and
 * nothing behind it. The digest alone does not say which PCRs it is over, so the selection decides as much as it.
 *
 * @throws EnclaveError BAD_EVIDENCE
 */
export function readTpmQuote(bytes: Uint8Array): TpmQuote {
  const reader = new BigEndianReader(bytes);
  if (reader.number(4) !== generatedValue) throw badEvidence("the attest structure was not made by a TPM");
  if (reader.number(2) !== attestQuote) throw badEvidence("the attest structure is not a quote");
  reader.sized();
  const extraData = reader.sized();
  // clock, resetCount, restartCount, safe; firmwareVersion
  reader.take(8 + 4 + 4 + 1 + 8);
  if (reader.number(4) !== 1 || reader.number(2) !== algorithms.sha256)
    throw badEvidence("the quote is not of PCRs of the SHA-256 bank alone");
  const select = reader.take(reader.number(1));
  const selected = [...select].flatMap((byte, index) =>
    [...Array(8).keys()].filter((bit) => (byte >> bit) & 1).map((bit) => index * 8 + bit),
  );
  const [pcr] = selected;
  if (pcr === undefined || selected.length !== 1) throw badEvidence("the quote is not of exactly one PCR");
  const pcrDigest = reader.sized();
  reader.end();
  if (pcrDigest.length !== 32) throw badEvidence("the quote's PCR digest is not SHA-256");
  return { extraData, pcr, pcrDigest };
}

/**
 * TPMT_SIGNATURE of ECDSA with SHA-256 on P-256, as `r ‖ s` of 32 bytes each (IEEE P1363).
 *
 * @throws EnclaveError BAD_EVIDENCE
 */
export function readTpmSignature(bytes: Uint8Array): Buffer {
  const reader = new BigEndianReader(bytes);
  if (reader.number(2) !== algorithms.ecdsa || reader.number(2) !== algorithms.sha256)
    throw badEvidence("the TPM's signature is not ECDSA with SHA-256");
  const [r, s] = [reader.sized(), reader.sized()];
  reader.end();
  if (r.length > 32 || s.length > 32) throw badEvidence("the TPM's signature is not one on P-256");
  const signature = Buffer.alloc(64);
  signature.set(r, 32 - r.length);
  signature.set(s, 64 - s.length);
  return signature;
}

class BigEndianReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes);
  }

  take(length: number): Buffer {
    const part = this.#bytes.subarray(this.#at, this.#at + length);
    if (part.length !== length) throw badEvidence("a structure of the TPM is cut short");
    this.#at += length;
    return part;
  }

  number(length: number): number {
    return this.take(length).readUIntBE(0, length);
  }

  /** A TPM2B: two bytes of length, then so many. */
  sized(): Buffer {
    return this.take(this.number(2));
  }

  end(): void {
    if (this.#at !== this.#bytes.length) throw badEvidence("a structure of the TPM has bytes behind it");
  }
}
