import { fromBinary } from "@bufbuild/protobuf";
import type { ConfidentialChaincode } from "../chaincode/confidential-chaincode.ts";
import { invokeInEnclave } from "../chaincode/invoke.ts";
import { EnclaveError } from "../errors.ts";
import { SignedProposalSchema } from "../messages/generated/fabric/peer_pb.ts";
import { maxMessageBytes } from "../messages/strict.ts";
import type { InvocationHandler } from "./invocation.ts";

/** What the host is asked for while a chaincode runs: a key of the state. It answers with the stored value, or nothing. */
export const stateQuestion = "state";

/**
 * Runs a chaincode for `invoke`. The part is a protos.SignedProposal; the answer, a SignedChaincodeResponseMessage.
 *
 * @throws EnclaveError what `invokeInEnclave` and {@link InvocationKeys.active} refuse with
 */
export function confidentialInvocation(chaincode: ConfidentialChaincode): InvocationHandler {
  return async ([proposal], keys, askHost) => {
    if (proposal === undefined || proposal.length > maxMessageBytes)
      throw new EnclaveError("MALFORMED", "the invocation's proposal is missing or too long");
    const active = await keys.active();
    const answer = await invokeInEnclave(
      {
        channelId: keys.ccParams.channelId,
        chaincodeId: keys.ccParams.chaincodeId,
        enclaveId: keys.enclaveId.text,
        sk: keys.signingKey,
        generations: keys.held,
        activeGeneration: active.number,
        chaincode,
        stored: async (key) => (await askHost(stateQuestion, Buffer.from(key)))[0],
        ledger: keys.ledger,
      },
      readProposal(proposal),
    );
    return [answer];
  };
}

function readProposal(bytes: Buffer) {
  try {
    return fromBinary(SignedProposalSchema, bytes);
  } catch (cause) {
    throw new EnclaveError("MALFORMED", "the invocation is no SignedProposal", { cause });
  }
}
