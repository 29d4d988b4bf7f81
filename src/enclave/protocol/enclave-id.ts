import { createHash } from "node:crypto";
import { EnclaveError } from "../errors.ts";

/** Who an enclave is: SHA-256 over the PEM of its VK, the final newline included (decision 0614). */
export interface EnclaveId {
  /** 32 bytes, as messages carry it. */
  readonly bytes: Buffer;
  /** Upper-case hexadecimal, as names on the ledger and people have it. */
  readonly text: string;
}

export function enclaveIdOf(verificationKeyPem: Uint8Array): EnclaveId {
  return fromBytes(createHash("sha256").update(verificationKeyPem).digest());
}

/**
 * The id that a message carries.
 *
 * @param name - The field that holds it, as `Message.field`, for the error.
 * @throws EnclaveError MALFORMED: not 32 bytes
 */
export function readEnclaveId(bytes: Uint8Array, name: string): EnclaveId {
  if (bytes.length !== 32) throw new EnclaveError("MALFORMED", `${name} is not an enclave's id of 32 bytes`);
  return fromBytes(Buffer.from(bytes));
}

/** The id that a person or a name on the ledger gives. @throws EnclaveError MALFORMED: not 64 upper-case hex digits */
export function parseEnclaveId(text: string): EnclaveId {
  if (!/^[0-9A-F]{64}$/.test(text))
    throw new EnclaveError("MALFORMED", "an enclave's id is not of 64 upper-case hex digits");
  return { bytes: Buffer.from(text, "hex"), text };
}

function fromBytes(bytes: Buffer): EnclaveId {
  return { bytes, text: bytes.toString("hex").toUpperCase() };
}
