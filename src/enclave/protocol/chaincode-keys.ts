import { createCipheriv, createDecipheriv, createHash, hkdfSync } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { kernelRandomBytes } from "../../crypto/kernel-random.ts";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { EnclaveError } from "../errors.ts";
import { type KeyGeneration, KeyGenerationSchema } from "../messages/generated/fpc/key_dist_pb.ts";
import { decodeStrict, encode } from "../messages/strict.ts";
import { checkGeneration } from "./fields.ts";
import { encryptionKeyOf, maxPemBytes, newEncryptionKeyPair, readDecryptionKey } from "./key-formats.ts";

const commitmentDomain = Buffer.from("strongroom/fpc/v1/state-key-commitment", "ascii");
const commitmentBytes = 32;

/** AES-128, as upstream's SEK. */
export const stateKeyBytes = 16;

/** Of a KeyGeneration's encoding: a number of at most 32 bits, SEK and DK, with tag and length before each. */
export const longestGenerationBytes = 6 + (2 + stateKeyBytes) + (3 + maxPemBytes);

/** One generation of a chaincode's keys. Whoever disposes of it wipes both secrets. */
export class ChaincodeGeneration implements Disposable {
  /** From 1. */
  readonly number: bigint;
  /** SEK, 16 bytes. */
  readonly stateKey: SecretBuffer;
  /** Chaincode_DK. */
  readonly dkPem: SecretBuffer;
  /** Chaincode_EK. */
  readonly ekPem: Buffer;
  /**
   * Which SEK goes with this EK, for the ledger to keep: HKDF-SHA-256 of the SEK, 32 bytes, bound to the number and the EK. The SEK
   * has 128 random bits, so that it tells nobody anything of it.
   */
  readonly stateKeyCommitment: Buffer;

  /** Becomes the owner of both secrets, and wipes them where they are refused. @throws EnclaveError MALFORMED */
  constructor(number: bigint, stateKey: SecretBuffer, dkPem: SecretBuffer) {
    this.number = number;
    this.stateKey = stateKey;
    this.dkPem = dkPem;
    try {
      checkGeneration(number, "KeyGeneration.number");
      if (stateKey.byteLength !== stateKeyBytes)
        throw new EnclaveError("MALFORMED", `KeyGeneration.state_encryption_key is not of ${stateKeyBytes} bytes`);
      this.ekPem = encryptionKeyOf(readDecryptionKey(dkPem));
      const info = Buffer.concat([commitmentDomain, Buffer.of(0), bigEndian(number), this.ekHash]);
      this.stateKeyCommitment = Buffer.from(
        stateKey.expose((bytes) => hkdfSync("sha256", bytes, Buffer.alloc(0), info, commitmentBytes)),
      );
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** From the message's bytes, which stay the caller's to wipe. @throws EnclaveError MALFORMED */
  static fromBytes(bytes: SecretBuffer): ChaincodeGeneration {
    return bytes.expose((exposed) =>
      ChaincodeGeneration.fromMessage(decodeStrict(KeyGenerationSchema, exposed, requiredFields)),
    );
  }

  /** Copies what the message holds; the message's own bytes stay the caller's to wipe. @throws EnclaveError MALFORMED */
  static fromMessage({ number, stateEncryptionKey, chaincodeDk }: KeyGeneration): ChaincodeGeneration {
    return new ChaincodeGeneration(number, SecretBuffer.copyOf(stateEncryptionKey), SecretBuffer.copyOf(chaincodeDk));
  }

  /** The bytes of the KeyGeneration message, in memory of their own: the generated code leaves copies behind. */
  encode(): SecretBuffer {
    const head = encode(KeyGenerationSchema, create(KeyGenerationSchema, { number: this.number }));
    return this.stateKey.expose((stateKey) =>
      this.dkPem.expose((dk) => {
        const heads = [head, lengthHead(2, stateKey), lengthHead(3, dk)] as const;
        const parts = [heads[0], heads[1], stateKey, heads[2], dk];
        const bytes = Buffer.allocUnsafeSlow(parts.reduce((sum, part) => sum + part.length, 0));
        let at = 0;
        for (const part of parts) at += part.copy(bytes, at);
        return SecretBuffer.adopt(bytes);
      }),
    );
  }

  /** SHA-256 of the EK's PEM. */
  get ekHash(): Buffer {
    return createHash("sha256").update(this.ekPem).digest();
  }

  [Symbol.dispose](): void {
    this.stateKey[Symbol.dispose]();
    this.dkPem[Symbol.dispose]();
  }
}

/** Tag and length of a field of bytes, protobuf's wire format: lengths here are below 2^14. */
function lengthHead(field: number, { length }: Buffer): Buffer {
  const tag = (field << 3) | 2;
  return length < 0x80 ? Buffer.of(tag, length) : Buffer.of(tag, (length & 0x7f) | 0x80, length >> 7);
}

const requiredFields = ["number", "state_encryption_key", "chaincode_dk"];

/** Makes SEK and the chaincode's pair (step 5 of the document). */
export async function newGeneration(number: bigint): Promise<ChaincodeGeneration> {
  const { privatePem } = await newEncryptionKeyPair();
  return new ChaincodeGeneration(number, SecretBuffer.random(stateKeyBytes), privatePem);
}

const [wrapVersion, ivBytes, tagBytes] = [1, 12, 16] as const;
const headBytes = 1 + ivBytes + tagBytes;

/**
 * Puts the generation before under a newer one, so that who gets the newest reads all history. AES-256-GCM under
 * HKDF-SHA-256 of the newer SEK. Layout:
 *
 *     version 1 (1) ‖ IV (12) ‖ tag (16) ‖ ciphertext
 *
 * @param ccParamsHash - As the proposal of the newer generation has it.
 */
export function wrapPrevious(
  newer: ChaincodeGeneration,
  previous: ChaincodeGeneration,
  ccParamsHash: Uint8Array,
): Buffer {
  if (previous.number !== newer.number - 1n) throw new RangeError("a generation wraps the one right before it");
  using text = previous.encode();
  const iv = kernelRandomBytes(ivBytes);
  return withWrappingKey(newer, ccParamsHash, (key) => {
    const cipher = createCipheriv("aes-256-gcm", key, iv).setAAD(associatedData(newer, ccParamsHash));
    const ciphertext = text.expose((bytes) => Buffer.concat([cipher.update(bytes), cipher.final()]));
    return Buffer.concat([Buffer.of(wrapVersion), iv, cipher.getAuthTag(), ciphertext]);
  });
}

/** @throws EnclaveError BAD_CIPHERTEXT: not the generation before `newer`, wrapped by it for this chaincode */
export function unwrapPrevious(
  newer: ChaincodeGeneration,
  wrapped: Uint8Array,
  ccParamsHash: Uint8Array,
): ChaincodeGeneration {
  const refused = () =>
    new EnclaveError(
      "BAD_CIPHERTEXT",
      `what generation ${newer.number} has wrapped of the one before it does not open`,
    );
  if (wrapped.length <= headBytes || wrapped[0] !== wrapVersion) throw refused();
  return withWrappingKey(newer, ccParamsHash, (key) => {
    const decipher = createDecipheriv("aes-256-gcm", key, wrapped.subarray(1, 1 + ivBytes), { authTagLength: tagBytes })
      .setAAD(associatedData(newer, ccParamsHash))
      .setAuthTag(wrapped.subarray(1 + ivBytes, headBytes));
    using text = SecretBuffer.adopt(decipher.update(wrapped.subarray(headBytes)));
    let previous: ChaincodeGeneration;
    try {
      decipher.final();
      previous = ChaincodeGeneration.fromBytes(text);
    } catch {
      throw refused();
    }
    if (previous.number === newer.number - 1n) return previous;
    previous[Symbol.dispose]();
    throw refused();
  });
}

const wrapDomain = Buffer.from("strongroom/fpc/v1/wrap-previous", "ascii");

function withWrappingKey<T>(newer: ChaincodeGeneration, ccParamsHash: Uint8Array, use: (key: Buffer) => T): T {
  const salt = Buffer.alloc(0);
  const info = Buffer.concat([wrapDomain, Buffer.of(0), ccParamsHash, bigEndian(newer.number)]);
  const key = Buffer.from(newer.stateKey.expose((bytes) => hkdfSync("sha256", bytes, salt, info, 32)));
  try {
    return use(key);
  } finally {
    key.fill(0);
  }
}

function associatedData(newer: ChaincodeGeneration, ccParamsHash: Uint8Array): Buffer {
  return Buffer.concat([wrapDomain, Buffer.of(0), ccParamsHash, bigEndian(newer.number), newer.ekHash]);
}

function bigEndian(number: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(number);
  return bytes;
}
