import { EnclaveError } from "../errors.ts";

/** Checks of fields that more than one message has. Each names the field as `Message.field` in its MALFORMED. */

/** @throws EnclaveError MALFORMED */
export function checkHash(bytes: Uint8Array, name: string): void {
  if (bytes.length !== 32) throw new EnclaveError("MALFORMED", `${name} is not a SHA-256 of 32 bytes`);
}

/** @throws EnclaveError MALFORMED */
export function checkGeneration(number: bigint, name: string): void {
  if (number < 1n || number > maxGeneration)
    throw new EnclaveError("MALFORMED", `${name} is not a generation's number from 1`);
}

/** Generations are written as four bytes before state that is encrypted under them. */
export const maxGeneration = 0xffff_ffffn;

/** The name of an organisation's membership service provider. @throws EnclaveError MALFORMED */
export function checkMspId(mspId: string, name: string): void {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(mspId))
    throw new EnclaveError("MALFORMED", `${name} is not the name of an organisation`);
}

/** What an enclave's code hashes to: SHA-256 or SHA-384 (TDX, Nitro). @throws EnclaveError MALFORMED */
export function checkMeasurement(text: string, name: string): void {
  if (!/^(?:[0-9A-F]{64}|[0-9A-F]{96})$/.test(text))
    throw new EnclaveError("MALFORMED", `${name} is not a measurement of 64 or 96 upper-case hex digits`);
}

export function checkChaincodeId(text: string, name: string): void {
  if (text.length > 128 || !/^[A-Za-z0-9]+(?:[-_][A-Za-z0-9]+)*$/.test(text))
    throw new EnclaveError("MALFORMED", `${name} is not a chaincode's name`);
}

export function checkChannelId(text: string, name: string): void {
  if (!/^[a-z][a-z0-9.-]{0,248}$/.test(text)) throw new EnclaveError("MALFORMED", `${name} is not a channel's name`);
}

/** Longer ones can't come from P-256 in DER. @throws EnclaveError MALFORMED: none, or longer */
export function checkSignature(signature: Uint8Array, name: string): void {
  if (signature.length === 0) throw new EnclaveError("MALFORMED", `${name} is missing or empty`);
  if (signature.length > 72) throw new EnclaveError("MALFORMED", `${name} is longer than a signature of P-256`);
}
