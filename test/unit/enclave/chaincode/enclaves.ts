import { create, toBinary } from "@bufbuild/protobuf";
import { auction } from "../../../../src/enclave/chaincode/auction.ts";
import type { ConfidentialChaincode } from "../../../../src/enclave/chaincode/confidential-chaincode.ts";
import { invokeInEnclave } from "../../../../src/enclave/chaincode/invoke.ts";
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
  CredentialsSchema,
} from "../../../../src/enclave/messages/generated/fpc/fpc_pb.ts";
import { type ChaincodeGeneration, newGeneration } from "../../../../src/enclave/protocol/chaincode-keys.ts";
import { enclaveIdOf } from "../../../../src/enclave/protocol/enclave-id.ts";
import {
  newEncryptionKeyPair,
  newSigningKeyPair,
  readSigningKey,
} from "../../../../src/enclave/protocol/key-formats.ts";
import { type ConcealedRequest, concealRequest } from "../../../../src/enclave/protocol/request-encryption.ts";
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
    const { held = generations, active = 2n, chaincode = auction } = options;
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

/** A client's request, encrypted and proposed. */
export function ask(words: readonly string[], options: ProposalOptions = {}, generation = 2): AskedRequest {
  const ek = (generations[generation - 1] ?? generations[0]).ekPem;
  const concealed = concealRequest(
    ek,
    words.map((word) => Buffer.from(word)),
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
