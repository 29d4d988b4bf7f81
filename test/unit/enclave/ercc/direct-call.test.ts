import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { common, peer } from "@hyperledger/fabric-protos";
import { type CalledStub, requireDirectCall } from "../../../../src/enclave/ercc/direct-call.ts";
import { EnclaveError, type EnclaveErrorCode } from "../../../../src/enclave/errors.ts";
import { makeProposal } from "../../../../src/enclave/ledger/proposal.ts";
import {
  ChaincodeHeaderExtensionSchema,
  ChaincodeInvocationSpecSchema,
} from "../../../../src/enclave/messages/generated/fabric/peer_pb.ts";

const words = ["putKeyExport", "auction", "message"];

interface Call {
  readonly header: Uint8Array;
  readonly input: Uint8Array;
  readonly received: readonly string[];
}

/** What the shim makes of a client's proposal. */
function callOf(chaincode: string, [transaction = "", ...args]: readonly string[] = words): Call {
  const { proposal } = makeProposal({ channelId: "channel1", chaincode, transaction, args, creator: Buffer.of(1) });
  const message = peer.Proposal.deserializeBinary(proposal);
  const header = common.Header.deserializeBinary(message.getHeader_asU8());
  return {
    header: common.ChannelHeader.deserializeBinary(header.getChannelHeader_asU8()).getExtension_asU8(),
    input: peer.ChaincodeProposalPayload.deserializeBinary(message.getPayload_asU8()).getInput_asU8(),
    received: [transaction, ...args],
  };
}

function check(call: Call, name = "ercc"): void {
  const stub: CalledStub = {
    getBufferArgs: () => call.received.map((arg) => Buffer.from(arg)),
    getSignedProposal: () => ({
      proposal: {
        header: { channelHeader: { getExtension_asU8: () => call.header } },
        payload: { getInput_asU8: () => call.input },
      },
    }),
  };
  requireDirectCall(stub, name);
}

const refused = (call: Call, code: EnclaveErrorCode, name?: string) =>
  assert.throws(
    () => check(call, name),
    (error) => error instanceof EnclaveError && error.code === code,
  );

describe("a transaction that changes the ledger", () => {
  const ours = callOf("ercc");
  const others = callOf("relay");

  it("is done for a client that called this chaincode with these arguments", () => {
    check(ours);
    check(callOf("ercc", ["activateGeneration"]));
  });

  it("is refused where the client called another chaincode, which passes the very arguments on", () => {
    refused(others, "UNAUTHORIZED");
  });

  it("is refused where the name that peers go by and the name beside the arguments are two", () => {
    refused({ ...ours, header: others.header }, "UNAUTHORIZED");
    refused({ ...ours, input: others.input }, "UNAUTHORIZED");
  });

  it("is refused under a name that only looks like its own", () => {
    for (const name of ["ercc ", "Ercc", "erc", "ercc2", "ercc:1.0", ""]) refused(callOf(name), "UNAUTHORIZED");
    refused(ours, "UNAUTHORIZED", "ercc2");
  });

  it("is refused with other arguments than the client signed: changed, more, fewer, in another order", () => {
    for (const received of [
      ["putKeyExport", "auction", "another"],
      ["putKeyExport", "auction", "message", ""],
      ["putKeyExport", "auction"],
      ["putKeyExport", "message", "auction"],
      ["revokeEnclave", "auction", "message"],
      [],
    ])
      refused({ ...ours, received }, "UNAUTHORIZED");
  });

  it("is refused where the proposal names nothing, or is none", () => {
    refused({ ...ours, header: new Uint8Array() }, "UNAUTHORIZED");
    refused({ ...ours, input: new Uint8Array() }, "UNAUTHORIZED");
    const bare = toBinary(ChaincodeInvocationSpecSchema, create(ChaincodeInvocationSpecSchema, {}));
    refused({ ...ours, input: bare, received: [] }, "UNAUTHORIZED");
    const unnamed = toBinary(ChaincodeHeaderExtensionSchema, create(ChaincodeHeaderExtensionSchema, {}));
    refused({ ...ours, header: unnamed }, "UNAUTHORIZED");
    refused({ ...ours, header: Buffer.from("no message") }, "MALFORMED");
    refused({ ...ours, input: Buffer.from("no message") }, "MALFORMED");
  });
});
