import { createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { CryptoError } from "../../crypto/errors.ts";
import { maxKeyFileBytes, readPrivateKey } from "../../crypto/pem.ts";
import { NodeError } from "../errors.ts";
import { ecIdentity, spkiFingerprint } from "./ec-identity.ts";
import type { KeyFormat, PublicIdentity } from "./format.ts";

const begin = Buffer.from("-----BEGIN ");
/** An RSA-8192 key in PEM has 6,400 bytes. */
const maxPemBytes = 16_384;

/**
 * PEM private keys: FISCO BCOS node.key, node.pem, gmnode.key, ssl.key, sm_ssl.key; Fabric priv_sk and server.key.
 * EC keys are read strictly; other kinds (FISCO's RSA ssl.key) are read by OpenSSL. Encrypted PEM is refused.
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
  const key = readByOpenssl(file, ecProblem);
  // An EC key that the strict reader refused stays refused: its public point may be another's.
  if (key.asymmetricKeyType === "ec" || key.asymmetricKeyType === undefined) throw invalid(ecProblem);
  const spki = createPublicKey(key).export({ type: "spki", format: "der" });
  return { algorithm: key.asymmetricKeyType, fingerprint: spkiFingerprint(spki) };
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
