import { timingSafeEqual, verify } from "node:crypto";
import { type MacAlgorithmName, macAlgorithms, type SigningAlgorithmName } from "../../crypto/key-specs.ts";
import { OpensslKey } from "../../crypto/openssl-key.ts";
import { DeviceFault } from "../native/fault.ts";
import { mechanisms } from "./constants.ts";
import { type CurveName, curves, type EcdsaCurve, spkiKeyObject } from "./curves.ts";
import type { FoundKeyPair, FoundPublicKey } from "./key-finder.ts";
import { ecdsaSignatureOfRaw } from "./signature.ts";
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
 * A raw signature of the key pair `id`: r ‖ s.
 *
 * The public key must have the fingerprint that the caller knows, and the first signature is checked with it before it is
 * given out: a private key that was put in another's place signs nothing that leaves here.
 *
 * @param input - The digest, for ED25519 the message.
 * @throws {DeviceFault} `integrity` when the key is not the one that was registered.
 */
export async function sign(
  context: TokenContext,
  id: Buffer,
  fingerprint: Buffer,
  curve: CurveName,
  input: Buffer,
): Promise<Buffer> {
  const { module, session, keys } = context;
  return await keys.withKeyPair(module, session, id, async (pair) => {
    if (pair.curve !== curve || fingerprint.length !== 32 || !timingSafeEqual(pair.fingerprint, fingerprint))
      throw changed(id, "the public key of id");
    const raw = await signRaw(context, pair, input);
    if (!pair.proven) {
      if (!(await isSignatureOf(pair, input, raw)))
        throw changed(id, "the private key does not belong to the public key of id");
      pair.proven = true;
    }
    return raw;
  });
}

export async function signRaw(
  context: TokenContext,
  pair: Pick<FoundKeyPair, "curve" | "privateKey">,
  input: Buffer,
): Promise<Buffer> {
  const { module, session } = context;
  const { sign: mechanism, signatureBytes } = curves[pair.curve];
  const out = Buffer.allocUnsafe(signatureBytes);
  module.C_SignInit(session, { mechanism }, pair.privateKey);
  if (!context.threads) return module.C_Sign(session, input, out);
  return await inThread([input, out], () => module.C_SignAsync(session, input, out));
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

function changed(id: Buffer, what: string): DeviceFault {
  return new DeviceFault({
    kind: "integrity",
    code: "KEY_CHANGED",
    message: `${what} ${id.toString("hex")} is not the one that was registered: the token's key was exchanged`,
  });
}
