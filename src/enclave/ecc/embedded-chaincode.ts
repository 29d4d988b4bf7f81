import { EnclaveError } from "../errors.ts";
import type { Chaincode, ChaincodeStub } from "../ledger/embedded/chaincode.ts";
import { readMessage } from "../ledger/fabric-message.ts";
import { readProposal } from "../ledger/proposal.ts";
import { SignedProposalSchema } from "../messages/generated/fabric/peer_pb.ts";
import { type EndorsementState, endorseResponses, endorseTransaction } from "./endorse.ts";
import { answerStateQuery } from "./state-queries.ts";

/**
 * The part of a private chaincode that peers run, as a chaincode of the embedded ledger: takes over what enclaves answered,
 * and tells enclaves and their hosts what is stored.
 *
 * @param registry - ERCC's name on the channel
 */
export function endorsingChaincode(registry: string): Chaincode {
  return async (stub) => {
    if (stub.transaction === endorseTransaction)
      return await endorseResponses(endorsementState(stub, registry), stub.args);
    const told = await answerStateQuery((key) => stub.getState(key), stub.transaction, stub.args);
    if (told !== undefined) return told;
    throw new EnclaveError("MALFORMED", "the chaincode has no transaction of this name outside its enclaves");
  };
}

function endorsementState(stub: ChaincodeStub, registry: string): EndorsementState {
  const { proposalBytes } = readMessage(SignedProposalSchema, stub.signedProposal);
  return {
    channelId: stub.channelId,
    chaincodeId: stub.chaincodeId,
    creator: readProposal(proposalBytes).creator,
    get: (key) => stub.getState(key),
    put: (key, value) => stub.putState(key, value),
    delete: (key) => stub.deleteState(key),
    definition: (chaincodeId) => stub.definition(chaincodeId),
    registry: async (transaction, args) => Buffer.from(await stub.query(registry, transaction, args)).toString("utf8"),
  };
}
