import { createECDH, createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { DerReader, derTags } from "../../crypto/der.ts";
import { CryptoError } from "../../crypto/errors.ts";
import { maxKeyFileBytes, readPrivateKey } from "../../crypto/pem.ts";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { NodeError } from "../errors.ts";
import { ecIdentity, spkiFingerprint } from "./ec-identity.ts";
import type { KeyFormat, PublicIdentity } from "./format.ts";

const begin = Buffer.from("-----BEGIN ");
/** An RSA-8192 key in PEM has 6,400 bytes. */
const maxPemBytes = 16_384;
/** The SubjectPublicKeyInfo is longer where a key spells its curve out, which is refused. */
const largeCurves = [
  { opensslName: "secp384r1", algorithm: "p384", spkiBytes: 120 },
  { opensslName: "secp521r1", algorithm: "p521", spkiBytes: 158 },
] as const;

/**
 * PEM private keys: FISCO BCOS node.key, node.pem, gmnode.key, ssl.key, sm_ssl.key; Fabric priv_sk and server.key.
 * SM2, secp256k1 and P-256 keys are read strictly; other kinds (FISCO's RSA ssl.key, P-384, Ed25519) by OpenSSL. Encrypted PEM
 * is refused.
 */
export const pem: KeyFormat = {
  name: "pem",
  writtenBy: "FISCO BCOS, Hyperledger Fabric, OpenSSL, TASSL",
  owners: ["any", "besu", "fabric", "fisco", "fisco-sm", "tessera"],
  detected: true,
  readPublicIdentity: (file) => file.expose(readIdentity),
};

function readIdentity(file: Buffer): PublicIdentity {
  if (file.length > maxPemBytes || !file.subarray(0, begin.length).equals(begin))
    throw new NodeError("KEY_FILE_INVALID", "the file is not a PEM private key");
  let ecProblem: unknown;
  if (file.length <= maxKeyFileBytes) {
    try {
      const key = readPrivateKey(file);
      key.scalar[Symbol.dispose]();
      return ecIdentity(key.curve, key.publicKey);
    } catch (error) {
      if (!(error instanceof CryptoError)) throw error;
      ecProblem = error;
    }
  }
  if (!isOneKey(file)) throw invalid(undefined);
  const key = readByOpenssl(file, ecProblem);
  if (key.asymmetricKeyType === "ec") return largeCurveIdentity(key, ecProblem);
  // An SM2 key that the strict reader refused stays refused: its public point may be another's.
  if (isSm2OrUnknown(key.asymmetricKeyType)) throw invalid(ecProblem);
  const spki = createPublicKey(key).export({ type: "spki", format: "der" });
  return { algorithm: key.asymmetricKeyType, fingerprint: spkiFingerprint(spki) };
}

/** Node's types do not know of SM2, its OpenSSL does. */
function isSm2OrUnknown(type: string | undefined): type is undefined {
  return type === undefined || type === "sm2";
}

/** OpenSSL reads the first key of a file and passes over what surrounds it; here nothing may surround it. */
function isOneKey(file: Buffer): boolean {
  const parameters = Buffer.from("-----BEGIN EC PARAMETERS-----");
  const second = file.indexOf(begin, begin.length);
  if (second !== -1 && !file.subarray(0, parameters.length).equals(parameters)) return false;
  if (second !== -1 && file.indexOf(begin, second + 1) !== -1) return false;
  const tail = file.subarray(Math.max(0, file.lastIndexOf("-----END ")));
  return /^-----END [A-Z0-9 ]{1,40}-----[\r\n]{0,2}$/.test(tail.length > 64 ? "" : tail.toString("latin1"));
}

/** P-384 and P-521, for TLS. Other EC keys that the strict reader refused stay refused, as does another's public point. */
function largeCurveIdentity(key: KeyObject, ecProblem: unknown): PublicIdentity {
  const curve = key.asymmetricKeyDetails?.namedCurve;
  const large = largeCurves.find(({ opensslName }) => opensslName === curve);
  if (large === undefined) throw invalid(ecProblem);
  using sec1 = SecretBuffer.take(key.export({ type: "sec1", format: "der" }));
  const point = sec1.expose((bytes) => {
    const fields = new DerReader(bytes, () => invalid(ecProblem)).enter(derTags.sequence);
    fields.read(derTags.integer);
    const ecdh = createECDH(large.opensslName);
    try {
      ecdh.setPrivateKey(fields.read(derTags.octetString));
    } catch (cause) {
      throw invalid(cause);
    }
    return ecdh.getPublicKey();
  });
  const spki = createPublicKey(key).export({ type: "spki", format: "der" });
  if (spki.length !== large.spkiBytes || !spki.subarray(-point.length).equals(point)) throw invalid(ecProblem);
  return { algorithm: large.algorithm, fingerprint: spkiFingerprint(spki) };
}

function readByOpenssl(file: Buffer, ecProblem: unknown): KeyObject {
  try {
    return createPrivateKey({ key: file, format: "pem" });
  } catch (cause) {
    throw invalid(ecProblem ?? cause);
  }
}

function invalid(cause: unknown): NodeError {
  const reason = cause instanceof CryptoError ? `: ${cause.message}` : "";
  return new NodeError("KEY_FILE_INVALID", `the file is not an unencrypted PEM private key${reason}`, { cause });
}
