import { createPrivateKey, type KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";
import { SecretBuffer } from "../../../crypto/secret-buffer.ts";
import { EnclaveError } from "../../errors.ts";
import type { LedgerIdentity } from "../ledger.ts";
import { signLowS } from "../low-s.ts";
import { serializeIdentity } from "../membership.ts";
import { writeFileDurably } from "./ledger-folder.ts";
import type { IssuedIdentity } from "./organisation-authority.ts";

/** Who signs in a process: a peer or the orderer. */
export interface SigningIdentity {
  readonly mspId: string;
  /** PEM. */
  readonly certificate: string;
  /** msp.SerializedIdentity */
  readonly serialized: Buffer;
  readonly key: KeyObject;
}

/** @param path - Without ending: `.pem` holds the certificate, `.key` the private key, readable by the owner only. */
export function writeIdentity(path: string, { certificate, privateKey }: IssuedIdentity): void {
  privateKey.expose((pem) => writeFileDurably(`${path}.key`, pem));
  writeFileDurably(`${path}.pem`, Buffer.from(certificate));
}

/** @throws EnclaveError NOT_FOUND: there is none */
export function readIdentity(path: string): IssuedIdentity {
  try {
    return {
      certificate: readFileSync(`${path}.pem`, "latin1"),
      privateKey: SecretBuffer.take(readFileSync(`${path}.key`)),
    };
  } catch (cause) {
    throw new EnclaveError("NOT_FOUND", `the ledger has no identity ${path}`, { cause });
  }
}

export function signingIdentity(mspId: string, issued: IssuedIdentity): SigningIdentity {
  const { certificate, privateKey } = issued;
  return {
    mspId,
    certificate,
    serialized: serializeIdentity({ mspId, certificate }),
    key: privateKey.expose((pem) => createPrivateKey(pem)),
  };
}

/** An identity for {@link LedgerIdentity}'s holders. Its key stays in memory for as long as the identity does. */
export function ledgerIdentity(mspId: string, { certificate, privateKey }: IssuedIdentity): LedgerIdentity {
  const key = privateKey.expose((pem) => createPrivateKey(pem));
  return { mspId, certificate, sign: async (message) => signLowS(message, key) };
}
