import { EnclaveError } from "../errors.ts";
import { readMessage } from "../ledger/fabric-message.ts";
import { ChaincodeHeaderExtensionSchema, ChaincodeInvocationSpecSchema } from "../messages/generated/fabric/peer_pb.ts";

/** What is used of the shim's stub to tell whom a client called. */
export interface CalledStub {
  getBufferArgs(): readonly Uint8Array[];
  /** As the shim decodes it. */
  getSignedProposal(): {
    readonly proposal: {
      readonly header: { readonly channelHeader: { getExtension_asU8(): Uint8Array } };
      /** protos.ChaincodeProposalPayload. */
      readonly payload: { getInput_asU8(): Uint8Array };
    };
  };
}

/**
 * Demands that a client called this chaincode, and not another one that called it. Fabric shows chaincode that is called by other
 * chaincode the creator and the proposal of the first call, so whoever gets an admin to call *anything* would act as that admin.
 * The peer goes by the name in the channel header's extension; what the client has signed beside it, the invocation, has to say the same.
 *
 * @param name - Under which this chaincode is defined on the channel.
 * @throws EnclaveError UNAUTHORIZED: the proposal is for another chaincode, or has other arguments than were received; MALFORMED
 */
export function requireDirectCall(stub: CalledStub, name: string): void {
  const { header, payload } = stub.getSignedProposal().proposal;
  const extension = readMessage(ChaincodeHeaderExtensionSchema, header.channelHeader.getExtension_asU8());
  const { chaincodeSpec: spec } = readMessage(ChaincodeInvocationSpecSchema, payload.getInput_asU8());
  for (const called of [extension.chaincodeId?.name ?? "", spec?.chaincodeId?.name ?? ""])
    if (called !== name)
      throw new EnclaveError(
        "UNAUTHORIZED",
        `the client called chaincode ${JSON.stringify(called.slice(0, 64))}, and ${name} changes nothing for other chaincode`,
        { hint: "call it by the name that its service was started with" },
      );
  const signed = spec?.input?.args ?? [];
  const received = stub.getBufferArgs();
  const isSame =
    signed.length === received.length &&
    signed.every((arg, index) => Buffer.compare(arg, received[index] ?? arg) === 0);
  if (!isSame) throw new EnclaveError("UNAUTHORIZED", `${name} received other arguments than the client signed`);
}
