/**
 * Known answers that a library must give before a device is used: they prove the layout profile, and that the card computes
 * SM2 and SM3 as src/crypto does. Nothing that a card keeps is changed.
 */
import { createHash, hash, randomBytes } from "node:crypto";
import { checkPublicKey, generateKeyPair } from "../../crypto/curve.ts";
import { CryptoError } from "../../crypto/errors.ts";
import { sm2DefaultUserId, sm2Digest } from "../../crypto/sm2.ts";
import { sm2VerifyDigest } from "../../crypto/sm2-digest.ts";
import { sm2Decrypt, sm2Encrypt } from "../../crypto/sm2-encryption.ts";
import { DeviceFault } from "../native/fault.ts";
import { faultOfCode, profileMismatchCode } from "./errors.ts";
import type { SdfLibrary } from "./library.ts";
import { type SdfProfile, sgd } from "./profiles.ts";
import type { SdfSession } from "./session.ts";
import { packPublicKey, packSignature, StructMismatch } from "./structs.ts";

/** What could be proven, for `device info`: `proven`, or why a test had to be left out. */
export type SelfTestReport = Readonly<Record<string, string>>;

const proven = "proven";
const absent = "the library has no such call";

/**
 * Runs every test that the library's calls and the session's rights allow.
 *
 * @param keyIndices - Key pairs to try; each must be in the card.
 * @throws {DeviceFault} `unsupported` (PROFILE_MISMATCH) when an answer is not the known one, `not-found` for a key pair that is
 *   not in the card, or what the card answered.
 */
export async function selfTest(
  library: SdfLibrary,
  profile: SdfProfile,
  session: SdfSession,
  keyIndices: readonly number[],
): Promise<SelfTestReport> {
  const report: Record<string, string> = {};
  const test = async (name: string, run: () => Promise<string>): Promise<void> => {
    try {
      report[name] = await run();
    } catch (error) {
      if (error instanceof StructMismatch) throw session.mismatch(`${name}: ${error.message}`);
      // A library that reads a structure elsewhere than we wrote it finds nonsense there.
      if (error instanceof DeviceFault && error.kind === "bad-input")
        throw session.mismatch(`${name}: ${error.message}`);
      throw error;
    }
  };
  const probe = { library, profile, session };
  await test("hash", () => proveHashes(probe));
  await test("encrypt", () => proveEncryption(probe));
  for (const keyIndex of keyIndices) await test(`key ${keyIndex}`, () => proveKey(probe, keyIndex));
  return report;
}

interface Probe {
  readonly library: SdfLibrary;
  readonly profile: SdfProfile;
  readonly session: SdfSession;
}

/** Each hash id of the profile on "abc", and SM3 with a user's public key, whose Z the library must feed first. */
async function proveHashes({ library, profile, session }: Probe): Promise<string> {
  if (!library.has("SDF_HashInit", "SDF_HashUpdate", "SDF_HashFinal")) return absent;
  const message = Buffer.from("abc");
  const done: string[] = [];
  for (const [name, id] of Object.entries(profile.hashIds)) {
    const digest = await hashOf(library, session.handle, id, message);
    if (digest === undefined) continue;
    if (!digest.equals(createHash(name).update(message).digest()))
      throw new StructMismatch(`hash id 0x${id.toString(16)} is not ${name}`);
    done.push(name);
  }
  const { publicKey } = generateKeyPair("sm2");
  const withZ = await hashOf(library, session.handle, profile.hashIds.sm3, message, publicKey.subarray(1));
  if (withZ !== undefined && !withZ.equals(sm2Digest(publicKey, message)))
    throw new StructMismatch("SM3 with a user's public key does not feed Z of that key");
  return done.length === 0 ? "the card hashes nothing" : `${proven}: ${done.join(", ")}`;
}

/** Undefined when the card does not have the algorithm. */
async function hashOf(
  library: SdfLibrary,
  session: bigint,
  id: number,
  message: Buffer,
  publicKey?: Uint8Array,
): Promise<Buffer | undefined> {
  const key = publicKey === undefined ? null : packPublicKey(publicKey);
  const userId = publicKey === undefined ? null : Buffer.from(sm2DefaultUserId);
  const begun = await library.call("SDF_HashInit", session, id, key, userId, userId?.length ?? 0);
  const fault = begun === 0 ? undefined : faultOfCode("SDF_HashInit", begun);
  if (fault?.kind === "unsupported" || (fault?.kind === "bad-input" && publicKey === undefined)) return undefined;
  if (fault !== undefined) throw fault;
  const digest = Buffer.alloc(256);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(digest.length);
  for (const code of [
    await library.call("SDF_HashUpdate", session, message, message.length),
    await library.call("SDF_HashFinal", session, digest, length),
  ])
    if (code !== 0) throw faultOfCode("SDF_HashUpdate or SDF_HashFinal", code);
  return digest.subarray(0, Math.min(length.readUInt32LE(), digest.length));
}

/** The card encrypts to a key of ours; what it wrote must decrypt here. */
async function proveEncryption({ library, session }: Probe): Promise<string> {
  if (!library.has("SDF_ExternalEncrypt_ECC")) return absent;
  const pair = generateKeyPair("sm2");
  using scalar = pair.scalar;
  const plaintext = randomBytes(32);
  try {
    const ciphertext = await session.encrypt(pair.publicKey.subarray(1), plaintext);
    using opened = sm2Decrypt(scalar, ciphertext);
    if (opened.equals(plaintext)) return proven;
  } catch (error) {
    if (error instanceof DeviceFault && error.kind === "unsupported") return "the card does not do it";
    if (!(error instanceof CryptoError)) throw error;
  }
  throw new StructMismatch("what the card encrypted does not decrypt: x, y, C3 and C2 lie elsewhere in its ECCCipher");
}

async function proveKey(probe: Probe, keyIndex: number): Promise<string> {
  const done: string[] = [];
  const missing: DeviceFault[] = [];
  for (const [name, prove] of [
    ["sign", proveSigning],
    ["decrypt", proveDecryption],
  ] as const)
    try {
      done.push(`${name} ${await prove(probe, keyIndex)}`);
    } catch (error) {
      // Half a key pair, or one without a right, is for the call that wants it to complain of.
      if (error instanceof DeviceFault && error.code === profileMismatchCode) throw error;
      if (!(error instanceof DeviceFault) || !["not-found", "auth", "unsupported"].includes(error.kind)) throw error;
      if (error.kind === "not-found") missing.push(error);
      done.push(`${name}: ${error.code}`);
    }
  const [first, second] = missing;
  if (first !== undefined && second !== undefined) throw first;
  return done.join("; ");
}

/** The card signs; the signature must verify here, and in the card by the structures that we write. */
async function proveSigning({ library, session }: Probe, keyIndex: number): Promise<string> {
  const publicKey = onCurve(await session.signPublicKey(keyIndex));
  const digest = hash("sm3", randomBytes(32), "buffer");
  const signature = await session.sign(keyIndex, digest, publicKey.subarray(1));
  if (!sm2VerifyDigest(publicKey, digest, signature))
    throw new StructMismatch("the card's signature does not verify under the public key that it shows");
  if (library.has("SDF_ExternalVerify_ECC")) {
    const key = packPublicKey(publicKey.subarray(1));
    const image = packSignature(signature);
    const code = await library.call("SDF_ExternalVerify_ECC", session.handle, sgd.sm2Sign, key, digest, 32, image);
    const fault = code === 0 ? undefined : faultOfCode("SDF_ExternalVerify_ECC", code);
    if (fault !== undefined && fault.kind !== "unsupported") throw fault;
  }
  return proven;
}

/** What is encrypted here to the card's key, the card must decrypt. */
async function proveDecryption({ library, session }: Probe, keyIndex: number): Promise<string> {
  if (!library.has("SDF_InternalDecrypt_ECC", "SDF_ExportEncPublicKey_ECC")) return absent;
  const publicKey = onCurve(await session.encryptPublicKey(keyIndex));
  const plaintext = randomBytes(32);
  const opened = await session.decrypt(keyIndex, sm2Encrypt(publicKey, plaintext)).catch((error: unknown) => {
    // The card has a key pair for it: then what it does not know is the third argument that it was given.
    if (error instanceof DeviceFault && error.kind === "unsupported") throw new StructMismatch(error.message);
    throw error;
  });
  if (!opened.equals(plaintext)) throw new StructMismatch("the card decrypts to other bytes than were encrypted");
  return proven;
}

/** `04 ‖ X ‖ Y`. */
function onCurve(publicKey: Buffer): Buffer {
  const point = Buffer.concat([Buffer.of(4), publicKey]);
  try {
    checkPublicKey("sm2", point);
  } catch {
    throw new StructMismatch("the public key that the card shows is not a point of the SM2 curve");
  }
  return point;
}
