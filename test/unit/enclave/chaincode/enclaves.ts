import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { auction } from "../../../../src/enclave/chaincode/auction.ts";
import type { ConfidentialChaincode } from "../../../../src/enclave/chaincode/confidential-chaincode.ts";
import { invokeInEnclave } from "../../../../src/enclave/chaincode/invoke.ts";
import { Membership } from "../../../../src/enclave/ledger/membership.ts";
import { makeProposal } from "../../../../src/enclave/ledger/proposal.ts";
import { packAny } from "../../../../src/enclave/messages/any.ts";
import { encodeArgument } from "../../../../src/enclave/messages/argument.ts";
import {
  type SignedProposal,
  SignedProposalSchema,
} from "../../../../src/enclave/messages/generated/fabric/peer_pb.ts";
import {
  AttestedDataSchema,
  ChaincodeRequestMessageSchema,
  type ChaincodeResponseMessage,
  ChaincodeResponseMessageSchema,
  CredentialsSchema,
  SignedChaincodeResponseMessageSchema,
} from "../../../../src/enclave/messages/generated/fpc/fpc_pb.ts";
import { type ChaincodeGeneration, newGeneration } from "../../../../src/enclave/protocol/chaincode-keys.ts";
import { enclaveIdOf } from "../../../../src/enclave/protocol/enclave-id.ts";
import { commitHashOf, openHeldAnswer, releaseKey } from "../../../../src/enclave/protocol/held-answer.ts";
import {
  newEncryptionKeyPair,
  newSigningKeyPair,
  readSigningKey,
} from "../../../../src/enclave/protocol/key-formats.ts";
import {
  type ConcealedRequest,
  concealRequest,
  revealResponse,
} from "../../../../src/enclave/protocol/request-encryption.ts";
import { type TestIdentity, TestOrganisation } from "../../../fabric/organisation.ts";

export const [channelId, chaincodeId] = ["ch1", "auction"] as const;

/** The chaincode's keys: two generations, made once, as a pair of RSA keys takes long. */
export const generations: readonly [ChaincodeGeneration, ChaincodeGeneration] = await Promise.all([
  newGeneration(1n),
  newGeneration(2n),
]);
const enclaveEk = (await newEncryptionKeyPair()).publicPem;
export const organisation: TestOrganisation = await TestOrganisation.create("Org1MSP");
export const client: TestIdentity = await organisation.issue("client", "alice");
const membership = new Membership([{ mspId: organisation.mspId, roots: [organisation.root] }]);

/** An enclave that was made, without the process around it. */
export class BareEnclave {
  readonly mspId: string;
  readonly credentials: string;
  readonly id: string;
  readonly #sk;

  private constructor(mspId: string, keys: Awaited<ReturnType<typeof newSigningKeyPair>>) {
    this.mspId = mspId;
    this.id = enclaveIdOf(keys.publicPem).text;
    this.#sk = readSigningKey(keys.privatePem);
    const attested = create(AttestedDataSchema, {
      ccParams: { chaincodeId, version: "AB".repeat(32), sequence: 1n, channelId },
      hostParams: { peerMspId: mspId, peerEndpoint: "127.0.0.1:7051" },
      enclaveVk: keys.publicPem,
      channelHash: Buffer.alloc(32, 1),
      enclaveEk,
      onCreation: true,
      trustedLedgerHash: Buffer.alloc(32, 2),
    });
    this.credentials = encodeArgument(
      CredentialsSchema,
      create(CredentialsSchema, {
        serializedAttestedData: packAny(AttestedDataSchema, attested),
        evidence: Buffer.from("not judged here"),
      }),
    );
  }

  static async make(mspId: string): Promise<BareEnclave> {
    return new BareEnclave(mspId, await newSigningKeyPair());
  }

  /** @returns The SignedChaincodeResponseMessage */
  invoke(proposal: SignedProposal, stored: Stored, options: InvokeOptions = {}): Promise<Buffer> {
    const { held = generations, active = 2n, chaincode = auction, onLedger = stored, members = membership } = options;
    return invokeInEnclave(
      {
        channelId,
        chaincodeId,
        enclaveId: this.id,
        sk: this.#sk,
        generations: held,
        activeGeneration: active,
        chaincode,
        stored: (key) => Promise.resolve(stored.get(key)),
        patience: { attempts: 2, waitMs: 1 },
        ledger: {
          isMember: async (identity) => members.identify(identity) !== undefined,
          stateHashes: async (keys) => keys.map((key) => hashOf(onLedger.get(key))),
        },
      },
      proposal,
    );
  }
}

export type Stored = Map<string, Uint8Array>;

export interface InvokeOptions {
  readonly held?: readonly ChaincodeGeneration[];
  readonly active?: bigint;
  readonly chaincode?: ConfidentialChaincode;
  /** What the ledger has, where the host shows something else. */
  readonly onLedger?: Stored;
  readonly members?: Membership;
}

function hashOf(value: Uint8Array | undefined): Buffer | undefined {
  return value && createHash("sha256").update(value).digest();
}

export interface ProposalOptions {
  readonly by?: TestIdentity;
  readonly channel?: string;
  readonly chaincode?: string;
  readonly transaction?: string;
  readonly args?: readonly string[];
  readonly nonce?: Uint8Array;
}

export interface AskedRequest extends ConcealedRequest {
  readonly signed: SignedProposal;
  readonly txId: string;
}

/** What a request is answered with, in clear: to be opened at once where it is not held back. */
export function answerTo(asked: AskedRequest, bytes: Uint8Array): string {
  const { encryptedResponse } = readAnswer(bytes);
  const { status, message, payload } = revealResponse(asked.responseKey, encryptedResponse);
  return status === 200 ? Buffer.from(payload).toString() : `${status} ${message}`;
}

/** The same once the ledger has applied it: by the key that enclaves release then. */
export function answerAfterCommit(asked: AskedRequest, bytes: Uint8Array, generation = generations[1]): string {
  const { encryptedResponse, heldGeneration, fpcRwSet } = readAnswer(bytes);
  assert.equal(heldGeneration, generation.number);
  assert.ok(fpcRwSet);
  const commitHash = commitHashOf(asked.signed.proposalBytes, fpcRwSet);
  using key = releaseKey(generation, commitHash);
  const opened = key.expose((released) => openHeldAnswer(released, commitHash, encryptedResponse));
  const { status, payload } = revealResponse(asked.responseKey, opened);
  assert.equal(status, 200);
  return Buffer.from(payload).toString();
}

export function readAnswer(bytes: Uint8Array): ChaincodeResponseMessage {
  const signed = fromBinary(SignedChaincodeResponseMessageSchema, bytes);
  return fromBinary(ChaincodeResponseMessageSchema, signed.chaincodeResponseMessage);
}

/** Writes what an enclave answered, as peers do once they have checked it. */
export function apply(stored: Stored, bytes: Uint8Array): void {
  for (const { key, value, isDelete } of readAnswer(bytes).fpcRwSet?.rwSet?.writes ?? [])
    if (isDelete) stored.delete(key);
    else stored.set(key, value);
}

/** A client's request, encrypted and proposed. */
export function ask(words: readonly string[], options: ProposalOptions = {}, generation = 2): AskedRequest {
  const ek = (generations[generation - 1] ?? generations[0]).ekPem;
  const concealed = concealRequest(
    ek,
    words.map((word) => Buffer.from(word)),
    { creator: (options.by ?? client).serialized },
  );
  return { ...concealed, ...propose([encodeArgument(ChaincodeRequestMessageSchema, concealed.message)], options) };
}

export function propose(
  args: readonly string[],
  options: ProposalOptions = {},
): { signed: SignedProposal; txId: string } {
  const by = options.by ?? client;
  const { proposal, txId } = makeProposal({
    channelId: options.channel ?? channelId,
    chaincode: options.chaincode ?? chaincodeId,
    transaction: options.transaction ?? "__invoke",
    args: options.args ?? args,
    creator: by.serialized,
    ...(options.nonce === undefined ? {} : { nonce: options.nonce }),
  });
  const signed = create(SignedProposalSchema, { proposalBytes: proposal, signature: by.signMessage(proposal) });
  return { signed, txId };
}

/** The bytes of a signed proposal, for changes to them. */
export function bytesOf(signed: SignedProposal): Buffer {
  return Buffer.from(toBinary(SignedProposalSchema, signed));
}
