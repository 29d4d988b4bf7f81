import { timingSafeEqual, verify } from "node:crypto";
import { type MacAlgorithmName, macAlgorithms, type SigningAlgorithmName } from "../../crypto/key-specs.ts";
import { OpensslKey } from "../../crypto/openssl-key.ts";
import { DeviceFault } from "../native/fault.ts";
import { mechanisms } from "./constants.ts";
import { type CurveName, curves, type EcdsaCurve, spkiKeyObject } from "./curves.ts";
import type { FoundKeyPair, FoundPublicKey } from "./key-finder.ts";
import { ecdsaSignatureOfRaw } from "./signature.ts";
import { longestSignedBytes, nonceBytes, timesBytes } from "./signed.ts";
import { inThread, type TokenContext } from "./token-context.ts";

/** HMACs that PKCS#11 has a mechanism for. */
export const macMechanisms = {
  HMAC_SHA_224: mechanisms.sha224Hmac,
  HMAC_SHA_256: mechanisms.sha256Hmac,
  HMAC_SHA_384: mechanisms.sha384Hmac,
  HMAC_SHA_512: mechanisms.sha512Hmac,
} as const satisfies Partial<Readonly<Record<MacAlgorithmName, number>>>;

export type TokenMacName = keyof typeof macMechanisms;

export function isTokenMacName(name: string): name is TokenMacName {
  return Object.hasOwn(macMechanisms, name);
}

/** The algorithm that a curve's keys sign by, in our names. */
export const algorithmOfCurve = {
  ECC_NIST_P256: "ECDSA_SHA_256",
  ECC_NIST_P384: "ECDSA_SHA_384",
  ECC_NIST_P521: "ECDSA_SHA_512",
  ECC_SECG_P256K1: "ECDSA_SHA_256",
} as const satisfies Readonly<Record<EcdsaCurve, SigningAlgorithmName>>;

/**
 * A signature of the key pair `id` and when it was made, as `splitSigned` reads it. That the private key belongs to the public
 * one is not known here: whoever gets the signature checks it.
 *
 * @param input - The digest, for ED25519 the message.
 * @returns At once without threads: memory that the session's next signature overwrites.
 * @throws {DeviceFault} `integrity` when the public key is not the one that was registered; nothing is signed then.
 */
export function sign(
  context: TokenContext,
  id: Buffer,
  fingerprint: Buffer,
  curve: CurveName,
  input: Buffer,
): Buffer | Promise<Buffer> {
  const { module, session, keys, threads, signatureRoom } = context;
  return keys.withKeyPair(module, session, id, (pair) => {
    if (pair.curve !== curve || fingerprint.length !== 32 || !timingSafeEqual(pair.fingerprint, fingerprint))
      throw changed(id);
    const out = threads ? Buffer.allocUnsafe(longestSignedBytes) : signatureRoom;
    const beganMs = performance.now();
    const raw = signRaw(context, pair, input, out);
    return raw instanceof Promise ? raw.then(() => signedOf(pair, out, beganMs)) : signedOf(pair, out, beganMs);
  });
}

/** @param out - At least as long as the curve's signatures. */
export function signRaw(
  { module, session, threads }: Pick<TokenContext, "module" | "session" | "threads">,
  pair: Pick<FoundKeyPair, "curve" | "privateKey">,
  input: Buffer,
  out: Buffer,
): Buffer | Promise<Buffer> {
  const { sign: mechanism, signatureBytes } = curves[pair.curve];
  const room = out.subarray(0, signatureBytes);
  module.C_SignInit(session, { mechanism }, pair.privateKey);
  if (!threads) return filled(module.C_Sign(session, input, room), signatureBytes);
  return inThread([input, out], async () => filled(await module.C_SignAsync(session, input, room), signatureBytes));
}

function filled(signature: Buffer, bytes: number): Buffer {
  if (signature.length === bytes) return signature;
  throw new DeviceFault({
    kind: "device",
    code: "SIGNATURE_LENGTH",
    message: `the token's signature has ${signature.length} bytes where ${bytes} were due`,
  });
}

function signedOf({ curve, finding }: FoundKeyPair, out: Buffer, beganMs: number): Buffer {
  const { signatureBytes } = curves[curve];
  finding.copy(out, signatureBytes);
  out.writeDoubleLE(beganMs, signatureBytes + nonceBytes);
  out.writeDoubleLE(performance.now(), signatureBytes + nonceBytes + 8);
  return out.subarray(0, signatureBytes + timesBytes);
}

/** Whether a raw signature is the key's over `input`, by OpenSSL. */
export async function isSignatureOf(key: FoundPublicKey, input: Buffer, raw: Buffer): Promise<boolean> {
  if (key.curve === "ED25519") return verify(null, input, spkiKeyObject(key.spki), raw);
  const signature = ecdsaSignatureOfRaw(key.curve, raw);
  if (signature === undefined) return false;
  using openssl = await OpensslKey.ofPublicKey(key.curve, key.spki);
  return openssl.verifyDigest(algorithmOfCurve[key.curve], input, signature);
}

/** HMAC of a message under the secret key `id`. */
export async function mac(context: TokenContext, id: Buffer, name: TokenMacName, message: Buffer): Promise<Buffer> {
  const { module, session, keys, threads } = context;
  return await keys.withSecretKey(module, session, id, async (key) => {
    const out = Buffer.allocUnsafeSlow(macAlgorithms[name].bytes);
    module.C_SignInit(session, { mechanism: macMechanisms[name] }, key);
    if (!threads) return module.C_Sign(session, message, out);
    return await inThread([message, out], () => module.C_SignAsync(session, message, out));
  });
}

function changed(id: Buffer): DeviceFault {
  return new DeviceFault({
    kind: "integrity",
    code: "KEY_CHANGED",
    message: `the public key of id ${id.toString("hex")} is not the one that was registered: the token's key was exchanged`,
  });
}
