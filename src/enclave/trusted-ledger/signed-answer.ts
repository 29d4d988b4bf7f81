import { EnclaveError } from "../errors.ts";
import { readMessage } from "../ledger/fabric-message.ts";
import { isSignedLowS } from "../ledger/low-s.ts";
import type { Membership } from "../ledger/membership.ts";
import {
  ChaincodeActionSchema,
  ProposalResponsePayloadSchema,
  ProposalResponseSchema,
} from "../messages/generated/fabric/peer_pb.ts";
import { KVRWSetSchema, TxReadWriteSetSchema } from "../messages/generated/fabric/rwset_pb.ts";
import { maxMessageBytes } from "../messages/strict.ts";
import type { ReadVersion } from "./trusted-ledger.ts";

/** What a peer has signed to be the result of a query. */
export interface SignedAnswer {
  readonly mspId: string;
  /** protos.ProposalResponsePayload, as signed: two answers are equal if these are. */
  readonly signed: Uint8Array;
  /** What the chaincode gave back. */
  readonly result: Uint8Array;
  /** Where each record that it read was written. */
  readonly reads: readonly ReadVersion[];
  /** What it looked for and did not find: the namespace and the key. */
  readonly absent: readonly string[];
}

export interface AnswerExpected {
  readonly proposalHash: Uint8Array;
  readonly chaincode: string;
  readonly nowMs: number;
}

const ok = 200;

/**
 * Verifies one protos.ProposalResponse. Of what is outside the signature (its own status, message, timestamp) nothing counts.
 *
 * @throws EnclaveError REPLAY: an answer to another proposal; WRONG_CONTEXT: of another chaincode; BAD_SIGNATURE: not signed by a
 *   peer of one of the organisations whose certificate is valid now; LEDGER_UNAVAILABLE: the chaincode refused; MALFORMED
 */
export function readSignedAnswer(bytes: Uint8Array, organisations: Membership, expected: AnswerExpected): SignedAnswer {
  const { signed, endorser, signature, action, answeredHash } = parse(bytes);
  const member = organisations.identify(endorser, expected.nowMs);
  if (member === undefined)
    throw new EnclaveError(
      "BAD_SIGNATURE",
      "an answer is signed by nobody whose certificate is one of the organisations' and valid now",
    );
  if (member.role !== "peer")
    throw new EnclaveError("BAD_SIGNATURE", `an answer is signed by a member of ${member.mspId} that is no peer`);
  if (!isSignedLowS(Buffer.concat([signed, endorser]), signature, member.key))
    throw new EnclaveError("BAD_SIGNATURE", `the signature of a peer of ${member.mspId} does not verify`);
  if (!Buffer.from(expected.proposalHash).equals(answeredHash))
    throw new EnclaveError("REPLAY", `a peer of ${member.mspId} answered another proposal than this one`);
  if (action.chaincodeId?.name !== expected.chaincode)
    throw new EnclaveError("WRONG_CONTEXT", `a peer of ${member.mspId} answered with another chaincode`);
  if (action.response?.status !== ok)
    throw new EnclaveError(
      "LEDGER_UNAVAILABLE",
      `${expected.chaincode} refused the query at a peer of ${member.mspId}`,
    );
  return { mspId: member.mspId, signed, result: action.response.payload, ...readVersions(action.results) };
}

function parse(bytes: Uint8Array) {
  if (bytes.length > maxMessageBytes) throw new EnclaveError("MALFORMED", "ProposalResponse is too long");
  const { payload: signed, endorsement, response } = readMessage(ProposalResponseSchema, bytes);
  if (endorsement === undefined) {
    // What is not endorsed is only what the host says; it is worth telling, and nothing more.
    const why = `${response?.message ?? ""}`.slice(0, 200);
    throw new EnclaveError("LEDGER_UNAVAILABLE", `a peer did not endorse the query: ${why}`);
  }
  const { proposalHash: answeredHash, extension } = readMessage(ProposalResponsePayloadSchema, signed);
  const action = readMessage(ChaincodeActionSchema, extension);
  return { signed, endorser: endorsement.endorser, signature: endorsement.signature, action, answeredHash };
}

function readVersions(results: Uint8Array): Pick<SignedAnswer, "reads" | "absent"> {
  const reads: ReadVersion[] = [];
  const absent: string[] = [];
  for (const { namespace, rwset } of readMessage(TxReadWriteSetSchema, results).nsRwset) {
    const { reads: single, rangeQueriesInfo } = readMessage(KVRWSetSchema, rwset);
    const ranges = rangeQueriesInfo.flatMap(({ readsInfo }) =>
      readsInfo.case === "rawReads" ? readsInfo.value.kvReads : [],
    );
    for (const { key, version } of [...single, ...ranges]) {
      const name = `${namespace}\u0000${key}`;
      if (version === undefined) absent.push(name);
      else reads.push({ key: name, block: version.blockNum, transaction: version.txNum });
    }
  }
  return { reads, absent };
}
