import { EnclaveError } from "../../errors.ts";

/**
 * A proposal that somebody else made (an enclave), in the form in which Fabric's gateway takes one to sign and have endorsed:
 * gateway.ProposedTransaction, for a peer of one organisation.
 *
 * @param proposal - protos.Proposal
 * @throws EnclaveError MALFORMED: it has no transaction id
 */
export async function toProposedTransaction(proposal: Uint8Array, mspId: string): Promise<Uint8Array> {
  const { common, gateway, peer } = await import("@hyperledger/fabric-protos");
  let txId: string;
  try {
    const header = common.Header.deserializeBinary(peer.Proposal.deserializeBinary(proposal).getHeader_asU8());
    txId = common.ChannelHeader.deserializeBinary(header.getChannelHeader_asU8()).getTxId();
  } catch (error) {
    throw new EnclaveError("MALFORMED", "a proposal to endorse is no message of Fabric", { cause: error });
  }
  if (txId === "") throw new EnclaveError("MALFORMED", "a proposal to endorse has no transaction id");
  const signed = new peer.SignedProposal();
  signed.setProposalBytes(proposal);
  const proposed = new gateway.ProposedTransaction();
  proposed.setTransactionId(txId);
  proposed.setProposal(signed);
  proposed.setEndorsingOrganizationsList([mspId]);
  return proposed.serializeBinary();
}

/**
 * A peer's answer to a proposal. The gateway gives it folded into the transaction that a client would submit.
 *
 * @param prepared - gateway.PreparedTransaction that one peer has endorsed
 * @returns protos.ProposalResponse, as the peer gave it but for the time of its clock
 * @throws EnclaveError LEDGER_UNAVAILABLE: there is no endorsement in it
 */
export async function toProposalResponse(prepared: Uint8Array): Promise<Uint8Array> {
  const { common, gateway, peer } = await import("@hyperledger/fabric-protos");
  const envelope = gateway.PreparedTransaction.deserializeBinary(prepared).getEnvelope();
  const payload = common.Payload.deserializeBinary(envelope?.getPayload_asU8() ?? new Uint8Array());
  const [transaction] = peer.Transaction.deserializeBinary(payload.getData_asU8()).getActionsList();
  const action = peer.ChaincodeActionPayload.deserializeBinary(transaction?.getPayload_asU8() ?? new Uint8Array());
  const agreed = action.getAction()?.getProposalResponsePayload_asU8() ?? new Uint8Array();
  const [endorsement] = action.getAction()?.getEndorsementsList() ?? [];
  if (endorsement === undefined)
    throw new EnclaveError("LEDGER_UNAVAILABLE", "the gateway gave a transaction that no peer has endorsed");
  const extension = peer.ProposalResponsePayload.deserializeBinary(agreed).getExtension_asU8();
  const answer = new peer.ProposalResponse();
  answer.setVersion(1);
  answer.setResponse(peer.ChaincodeAction.deserializeBinary(extension).getResponse());
  answer.setPayload(agreed);
  answer.setEndorsement(endorsement);
  return answer.serializeBinary();
}
