import { createHash } from "node:crypto";
import { EnclaveError } from "../errors.ts";
import { type CCParameters, CCParametersSchema } from "../messages/generated/fpc/fpc_pb.ts";
import { encode } from "../messages/strict.ts";
import { checkChaincodeId, checkChannelId, checkMeasurement } from "./fields.ts";

/** SHA-256 of the canonical bytes of CC_Params: 32 bytes. Every message of the distribution of keys carries it. */
export function ccParamsHash(parameters: CCParameters): Buffer {
  return createHash("sha256").update(encode(CCParametersSchema, parameters)).digest();
}

/**
 * Checks the parameters of a chaincode: all there, the version a measurement in upper-case hexadecimal, the sequence from 1.
 *
 * @throws EnclaveError MALFORMED, naming the field
 */
export function checkCcParams(parameters: CCParameters | undefined): CCParameters {
  if (parameters === undefined) throw new EnclaveError("MALFORMED", "AttestedData.cc_params is missing or empty");
  checkChaincodeId(parameters.chaincodeId, "CCParameters.chaincode_id");
  checkMeasurement(parameters.version, "CCParameters.version");
  if (parameters.sequence < 1n) throw new EnclaveError("MALFORMED", "CCParameters.sequence is not a number from 1");
  checkChannelId(parameters.channelId, "CCParameters.channel_id");
  return parameters;
}
