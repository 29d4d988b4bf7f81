import { createHash, createPrivateKey } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { hashesTransaction } from "../../../../src/enclave/ecc/state-queries.ts";
import { compositeKey, type RecordName } from "../../../../src/enclave/ercc/registry-state.ts";
import {
  type IssueInput,
  OrganisationAuthority,
} from "../../../../src/enclave/ledger/embedded/organisation-authority.ts";
import { makeEndorsedResponse } from "../../../../src/enclave/ledger/endorsement.ts";
import { type Organisation, serializeIdentity } from "../../../../src/enclave/ledger/membership.ts";
import { readProposal } from "../../../../src/enclave/ledger/proposal.ts";
import { KVRWSetSchema, TxReadWriteSetSchema } from "../../../../src/enclave/messages/generated/fabric/rwset_pb.ts";
import type { LedgerExchange, LedgerQuestion } from "../../../../src/enclave/trusted-ledger/exchange.ts";

export const channelId = "private-channel";
export const erccName = "ercc";

/** A record as a peer has it, and where it was written. */
export interface HeldRecord {
  readonly value: Uint8Array;
  readonly block: bigint;
}

export interface AnsweringPeer {
  readonly mspId: string;
  readonly serialized: Buffer;
  /** protos.ProposalResponse to a protos.Proposal. */
  answer(proposal: Uint8Array, changed?: Partial<AnswerMade>): Uint8Array;
  /** What this peer holds; several may share one. */
  records: Map<string, HeldRecord>;
}

export interface AnswerMade {
  readonly proposalHash: Uint8Array;
  readonly status: number;
  readonly payload: Uint8Array;
  readonly chaincode: { readonly name: string; readonly version: string };
}

export interface TestOrganisation extends Organisation {
  readonly authority: OrganisationAuthority;
}

export async function newOrganisation(mspId: string): Promise<TestOrganisation> {
  const { authority, certificate } = await OrganisationAuthority.create(mspId);
  return { mspId, roots: [certificate], authority };
}

/** A peer with a real key and certificate, whose chaincode answers `queryState` and `canEndorse` as ERCC does. */
export async function newPeer(
  { mspId, authority }: TestOrganisation,
  records: Map<string, HeldRecord>,
  issue: Partial<IssueInput> = {},
): Promise<AnsweringPeer> {
  const { certificate, privateKey } = await authority.issue({
    commonName: `peer0.${mspId}`,
    units: ["peer"],
    ...issue,
  });
  const key = privateKey.expose((pem) => createPrivateKey(pem));
  const serialized = serializeIdentity({ mspId, certificate });
  const peer: AnsweringPeer = {
    mspId,
    serialized,
    records,
    answer(bytes, changed = {}) {
      const { chaincode, args, hash } = readProposal(bytes);
      const [transaction = "", ...rest] = args.map((arg) => Buffer.from(arg).toString());
      if (transaction === hashesTransaction) {
        const of = (key: string) => peer.records.get(`${chaincode}/${key}`);
        const hashes = rest.map((key) => {
          const value = of(key)?.value;
          return value === undefined ? "" : createHash("sha256").update(value).digest("hex");
        });
        const made = {
          proposalHash: hash,
          status: 200,
          payload: Buffer.from(hashes.join(",")),
          chaincode: { name: chaincode, version: "1" },
          ...changed,
        };
        const results = readSet(
          chaincode,
          rest.map((key) => ({ key, block: of(key)?.block })),
        );
        return makeEndorsedResponse({ ...made, results, message: "" }, { serialized, key });
      }
      const [type = "", ...attributes] = rest;
      const name = compositeKey({ type: type as RecordName["type"], attributes });
      const held = peer.records.get(name);
      const text = transaction === "canEndorse" ? "true" : Buffer.from(held?.value ?? []).toString("base64");
      const results = readSet(erccName, [{ key: name, block: held?.block }]);
      const made = {
        proposalHash: hash,
        status: 200,
        payload: Buffer.from(text),
        chaincode: { name: chaincode, version: "1" },
        ...changed,
      };
      return makeEndorsedResponse({ ...made, results, message: "" }, { serialized, key });
    },
  };
  return peer;
}

/** A host that has every proposal answered by `peers`. */
export function hostOf(
  peers: () => readonly AnsweringPeer[],
  creator: Uint8Array,
  endorse: (proposal: Uint8Array) => readonly Uint8Array[] = (proposal) => peers().map((peer) => peer.answer(proposal)),
): LedgerExchange {
  return async (question: LedgerQuestion) => {
    if (question.kind === "creator") return [creator];
    if (question.kind === "endorse") return endorse(question.proposal);
    throw new TypeError(`signed quorum reads do not ask for ${question.kind}`);
  };
}

function readSet(
  namespace: string,
  read: readonly { readonly key: string; readonly block: bigint | undefined }[],
): Uint8Array {
  const reads = read.map(({ key, block }) =>
    block === undefined ? { key } : { key, version: { blockNum: block, txNum: 0n } },
  );
  const rwset = toBinary(KVRWSetSchema, create(KVRWSetSchema, { reads }));
  return toBinary(TxReadWriteSetSchema, create(TxReadWriteSetSchema, { nsRwset: [{ namespace, rwset }] }));
}
