import { encodeArgument } from "../../../../src/enclave/messages/argument.ts";
import {
  type SignedRecoveryMessage,
  SignedRecoveryMessageSchema,
  SignedReleasedShareMessageSchema,
} from "../../../../src/enclave/messages/generated/fpc/key_dist_pb.ts";
import type { ChaincodeGeneration } from "../../../../src/enclave/protocol/chaincode-keys.ts";
import { issueRecovery, openShare } from "../../../../src/enclave/protocol/recovery.ts";
import { readRecovery } from "../../../../src/enclave/protocol/recovery-form.ts";
import { releaseShare } from "../../../../src/enclave/protocol/released-share.ts";
import { Consortium, generations, organisationNames, type TestEnclave } from "./consortium.ts";
import { rsaPair } from "./test-keys.ts";

const { first } = generations;

/** A consortium with an enclave of its first organisation, which holds the first generation. */
export async function provisioned() {
  const consortium = await Consortium.start();
  const enclave = await consortium.newEnclave("Org1MSP");
  await consortium.registerKeys(enclave, first);
  return { consortium, enclave };
}

export function issue(
  consortium: Consortium,
  issuer: TestEnclave,
  generation: ChaincodeGeneration = first,
  sk = issuer.sk,
): Promise<SignedRecoveryMessage> {
  const { ccParamsHash, enclaveId } = issuer.read;
  return issueRecovery({
    ccParamsHash,
    generation,
    policy: consortium.policy,
    issuer: { enclaveId: enclaveId.bytes, sk },
  });
}

export const recoveryText = (signed: SignedRecoveryMessage) => encodeArgument(SignedRecoveryMessageSchema, signed);

/** Of the organisation's share to an enclave, as base64 text. */
export function release(
  consortium: Consortium,
  recovery: SignedRecoveryMessage,
  mspId: string,
  receiver: TestEnclave,
  key = consortium.policyKey(mspId).key,
): string {
  const recoveryKey = rsaPair(4 + (organisationNames as readonly string[]).indexOf(mspId)).privateKey;
  using share = openShare(readRecovery(recovery), mspId, recoveryKey);
  const signed = releaseShare({ recovery, mspId, share, receiver: receiver.read }, key);
  return encodeArgument(SignedReleasedShareMessageSchema, signed);
}
