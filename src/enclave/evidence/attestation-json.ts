import { decodeBase64 } from "../messages/argument.ts";
import { type AttestationType, attestationTypes } from "../protocol/policy-form.ts";
import { asBadEvidence, badEvidence } from "./verifier.ts";

export type { AttestationType };

/** Upstream's types that nobody can verify any more. */
const endedTypes = ["epid-linkable", "epid-unlinkable"];

/** Fields of each type's attestation, in their order; evidence may have more of them behind these. */
const attestationFields: Record<AttestationType, readonly string[]> = {
  simulated: ["quote", "signature", "certificate"],
  tpm: ["attest", "signature", "made_at_ms", "certificate"],
  "sgx-dcap": ["quote"],
  "tdx-dcap": ["quote"],
  nitro: ["document"],
};

export const collateralFields = [
  "pck_crl_issuer_chain",
  "root_ca_crl",
  "pck_crl",
  "tcb_info_issuer_chain",
  "tcb_info",
  "tcb_info_signature",
  "qe_identity_issuer_chain",
  "qe_identity",
  "qe_identity_signature",
] as const;

const addedByEvidence: Partial<Record<AttestationType, readonly string[]>> = {
  "sgx-dcap": collateralFields,
  "tdx-dcap": collateralFields,
};

/** No evidence with its collateral comes near this. */
const maxJsonBytes = 256 * 1024;

export type AttestationFields = ReadonlyMap<string, string>;

export interface TypedFields {
  readonly type: AttestationType;
  readonly fields: AttestationFields;
}

/** @throws EnclaveError BAD_EVIDENCE: not the one JSON text of an attestation of a known type */
export function readAttestation(bytes: Uint8Array): TypedFields {
  return read("attestation", bytes, (type) => attestationFields[type]);
}

/** @throws EnclaveError BAD_EVIDENCE */
export function readEvidence(bytes: Uint8Array): TypedFields {
  return read("evidence", bytes, (type) => [...attestationFields[type], ...(addedByEvidence[type] ?? [])]);
}

/** JSON `{"attestation_type":…,"attestation":{…}}`. */
export function writeAttestation(type: AttestationType, fields: Readonly<Record<string, string>>): Buffer {
  return write("attestation", type, attestationFields[type], fields);
}

/**
 * Upstream's step between an enclave and the ledger: puts what a verifier needs beside the attestation, so that chaincode has
 * to ask nobody. Only Intel's types need anything.
 *
 * @param collateral - Of a quote of Intel's, by the names of its Provisioning Certification Service
 * @throws EnclaveError BAD_EVIDENCE: the attestation is malformed, or collateral is missing
 */
export function toEvidence(attestation: Uint8Array, collateral: Readonly<Record<string, string>> = {}): Buffer {
  const { type, fields } = readAttestation(attestation);
  const names = [...attestationFields[type], ...(addedByEvidence[type] ?? [])];
  return write("evidence", type, names, { ...collateral, ...Object.fromEntries(fields) });
}

/** The bytes of a field that is base64. @throws EnclaveError BAD_EVIDENCE */
export function fieldBytes(fields: AttestationFields, name: string): Buffer {
  return asBadEvidence(name, () => decodeBase64(fields.get(name) ?? "", name));
}

function write(
  key: "attestation" | "evidence",
  type: AttestationType,
  names: readonly string[],
  fields: Readonly<Record<string, string>>,
): Buffer {
  const ordered = names.map((name) => {
    const value = fields[name];
    if (value === undefined || value === "") throw badEvidence(`the ${key} of type ${type} needs ${name}`);
    return [name, value];
  });
  return Buffer.from(JSON.stringify({ attestation_type: type, [key]: Object.fromEntries(ordered) }), "utf8");
}

function read(
  key: "attestation" | "evidence",
  bytes: Uint8Array,
  fieldsOf: (type: AttestationType) => readonly string[],
): TypedFields {
  if (bytes.length === 0) throw badEvidence(`the ${key} is empty`);
  if (bytes.length > maxJsonBytes) throw badEvidence(`the ${key} is longer than ${maxJsonBytes} bytes`);
  const text = asBadEvidence(key, () => new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
  const value = asBadEvidence(key, () => JSON.parse(text) as unknown);
  // One text for one value: no white space, nothing given twice, no other spelling of a character.
  if (JSON.stringify(value) !== text) throw badEvidence(`the ${key} is not in its canonical form`);
  const [type, inner] = readObject(value, `the ${key}`, ["attestation_type", key]);
  if (typeof type === "string" && endedTypes.includes(type))
    throw badEvidence(`attestations of type ${type} cannot be verified: Intel has ended the service that they need`);
  const known = attestationTypes.find((one) => one === type);
  if (known === undefined) throw badEvidence(`the ${key} is of an unknown type`);
  const names = fieldsOf(known);
  const fields = new Map<string, string>();
  readObject(inner, `the ${key} of type ${known}`, names).forEach((field, index) => {
    const name = names[index];
    if (name === undefined || typeof field !== "string" || field === "")
      throw badEvidence(`${name} of the ${key} is not a text`);
    fields.set(name, field);
  });
  return { type: known, fields };
}

/** The values of an object that has exactly these keys, in this order. */
function readObject(value: unknown, what: string, names: readonly string[]): readonly unknown[] {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw badEvidence(`${what} is not an object`);
  const keys = Object.keys(value);
  if (keys.length !== names.length || keys.some((key, index) => key !== names[index]))
    throw badEvidence(`${what} has not exactly the fields ${names.join(", ")}, in this order`);
  return Object.values(value);
}
