import { EnclaveError } from "../errors.ts";
import { unpackAny } from "../messages/any.ts";
import {
  type AttestedData,
  AttestedDataSchema,
  type CCParameters,
  type Credentials,
} from "../messages/generated/fpc/fpc_pb.ts";
import { ccParamsHash, checkCcParams } from "./cc-params.ts";
import { type EnclaveId, enclaveIdOf } from "./enclave-id.ts";
import { checkHash, checkMeasurement, checkMspId } from "./fields.ts";
import { readEncryptionKey, readVerificationKey } from "./key-formats.ts";

/** What credentials say, checked in form. That it is true follows from the evidence alone, which is judged elsewhere. */
export interface ReadCredentials {
  readonly attested: AttestedData;
  /** What is attested: the `value` of the attested data's Any, as it came. */
  readonly statement: Buffer;
  readonly ccParams: CCParameters;
  readonly ccParamsHash: Buffer;
  readonly enclaveId: EnclaveId;
  /** Of the organisation that runs the enclave. */
  readonly mspId: string;
  readonly vkPem: Buffer;
  /** Chaincode keys for this enclave are encrypted to this key, and to none that comes by another way (decision 0604). */
  readonly ekPem: Buffer;
}

/**
 * Reads credentials in the form that the registry keeps and an enclave is handed another's in.
 *
 * @param evidence - "not yet" for what comes out of an enclave: its attestation has not been made into evidence.
 * @throws EnclaveError MALFORMED, naming the field
 */
export function readCredentials(
  credentials: Credentials,
  evidence: "required" | "not yet" = "required",
): ReadCredentials {
  if (evidence === "required" && credentials.evidence.length === 0) throw missing("Credentials.evidence");
  if (evidence === "not yet" && credentials.attestation.length === 0) throw missing("Credentials.attestation");
  const any = credentials.serializedAttestedData;
  const attested = unpackAny(AttestedDataSchema, any, "Credentials.serialized_attested_data", [
    "cc_params",
    "host_params",
    "enclave_vk",
    "channel_hash",
    "enclave_ek",
    "trusted_ledger_hash",
  ]);
  const ccParams = checkCcParams(attested.ccParams);
  checkHostParams(attested);
  readVerificationKey(attested.enclaveVk, "AttestedData.enclave_vk");
  readEncryptionKey(attested.enclaveEk, "AttestedData.enclave_ek");
  checkHash(attested.channelHash, "AttestedData.channel_hash");
  checkHash(attested.trustedLedgerHash, "AttestedData.trusted_ledger_hash");
  if (attested.tlccMrenclave !== "") checkMeasurement(attested.tlccMrenclave, "AttestedData.tlcc_mrenclave");
  // An enclave that brings a chaincode key of its own would have skipped generation and export.
  if (attested.chaincodeEk.length > 0)
    throw new EnclaveError("MALFORMED", "AttestedData.chaincode_ek is set: chaincode keys are registered by a message");
  return {
    attested,
    statement: Buffer.from(any?.value ?? []),
    ccParams,
    ccParamsHash: ccParamsHash(ccParams),
    enclaveId: enclaveIdOf(attested.enclaveVk),
    mspId: attested.hostParams?.peerMspId ?? "",
    vkPem: Buffer.from(attested.enclaveVk),
    ekPem: Buffer.from(attested.enclaveEk),
  };
}

function checkHostParams(attested: AttestedData): void {
  const host = attested.hostParams;
  if (host === undefined) throw missing("AttestedData.host_params");
  checkMspId(host.peerMspId, "HostParameters.peer_msp_id");
  const port = Number(
    /^(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):([1-9][0-9]{0,4})$/.exec(host.peerEndpoint)?.[1],
  );
  if (!(port <= 65_535))
    throw new EnclaveError("MALFORMED", "HostParameters.peer_endpoint is not of the form host:port");
}

function missing(name: string): EnclaveError {
  return new EnclaveError("MALFORMED", `${name} is missing or empty`);
}
