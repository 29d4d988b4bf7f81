import assert from "node:assert/strict";
import { createHash, type KeyObject } from "node:crypto";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Registry } from "../../../../src/enclave/ercc/registry.ts";
import type { Creator } from "../../../../src/enclave/ercc/registry-state.ts";
import { EnclaveError, type EnclaveErrorCode } from "../../../../src/enclave/errors.ts";
import { packAny } from "../../../../src/enclave/messages/any.ts";
import { encodeArgument } from "../../../../src/enclave/messages/argument.ts";
import {
  type AttestedData,
  AttestedDataSchema,
  type Credentials,
  CredentialsSchema,
} from "../../../../src/enclave/messages/generated/fpc/fpc_pb.ts";
import {
  SignedCCKeyRegistrationMessageSchema,
  type SignedExportMessage,
  SignedExportMessageSchema,
  SignedGenerationProposalMessageSchema,
} from "../../../../src/enclave/messages/generated/fpc/key_dist_pb.ts";
import {
  type Policy,
  PolicySchema,
  PolicySignatureSchema,
  SignedPolicySchema,
  TrustedLedgerParametersSchema,
} from "../../../../src/enclave/messages/generated/fpc/policy_pb.ts";
import { encode } from "../../../../src/enclave/messages/strict.ts";
import { type ReadCredentials, readCredentials } from "../../../../src/enclave/protocol/attested-data.ts";
import type { ChaincodeGeneration } from "../../../../src/enclave/protocol/chaincode-keys.ts";
import { makeExport } from "../../../../src/enclave/protocol/export.ts";
import { signProposal } from "../../../../src/enclave/protocol/generation.ts";
import { policyHash, signPolicy } from "../../../../src/enclave/protocol/policy.ts";
import { signRegistration } from "../../../../src/enclave/protocol/registration.ts";
import { endorsement } from "./endorsement.ts";
import { FakeJudge, fakeEvidence } from "./fake-judge.ts";
import { MemoryLedger, type MemoryTransaction } from "./memory-ledger.ts";
import { rsaPair, type SigningPair, signingPair, testGeneration } from "./test-keys.ts";

export const chaincodeId = "auction";
export const version = "AB".repeat(32);
export const startMs = Date.UTC(2026, 10, 22);
const hour = 3_600_000;
export const organisationNames = ["Org1MSP", "Org2MSP", "Org3MSP"] as const;

/** An enclave as the registry gets to see it: what it signs, and what it attests. */
export interface TestEnclave {
  readonly mspId: string;
  readonly id: string;
  readonly sk: KeyObject;
  readonly dk: KeyObject;
  readonly read: ReadCredentials;
  readonly attested: AttestedData;
  readonly credentials: Credentials;
}

/** What an enclave says of a generation, whether it holds it or not. */
export interface GenerationClaim {
  readonly number: bigint;
  readonly ekPem: Uint8Array;
  readonly stateKeyCommitment: Uint8Array;
}

export interface EnclaveSettings {
  /** Which RSA pair of the vectors is its EK. */
  readonly rsa?: number;
  readonly attested?: MessageInitShape<typeof AttestedDataSchema>;
  readonly ccParams?: { version?: string; sequence?: bigint; channelId?: string; chaincodeId?: string };
  readonly madeAtMs?: number;
  readonly tcbEvaluationNumber?: number;
}

/** Three organisations, one chaincode, its policy; a registry over one peer's state. */
export class Consortium {
  readonly ledger = new MemoryLedger("ch1", createHash("sha256").update("genesis").digest());
  readonly judge = new FakeJudge();
  /** Every transaction that was committed by {@link call}, in order. */
  readonly called: { creator: Creator; atMs: number; transaction: string; args: readonly string[] }[] = [];
  readonly policyKeys: ReadonlyMap<string, SigningPair> = new Map(
    organisationNames.map((name) => [name, signingPair()]),
  );
  /** Of the policy set last. */
  policy: Policy;
  /** SHA-256 of the policy number 1. */
  firstPolicyHash: Buffer;
  nowMs = startMs;

  constructor() {
    this.define({});
    this.policy = this.nextPolicy({});
    this.firstPolicyHash = policyHash(this.policy);
  }

  /** With its policy set. */
  static async start(policy: MessageInitShape<typeof PolicySchema> = {}): Promise<Consortium> {
    const consortium = new Consortium();
    await consortium.setPolicy(policy);
    return consortium;
  }

  define(change: {
    version?: string;
    sequence?: bigint;
    organisations?: readonly string[];
    chaincodeId?: string;
  }): void {
    this.ledger.definitions.set(change.chaincodeId ?? chaincodeId, {
      version: change.version ?? version,
      sequence: change.sequence ?? 1n,
      validationParameter: endorsement(change.organisations ?? organisationNames),
    });
  }

  /** Number 1 where none is set yet, else the one that follows. */
  nextPolicy(change: MessageInitShape<typeof PolicySchema>): Policy {
    const former = this.policy as Policy | undefined;
    const isSet = this.ledger.snapshot().includes("namespaces/policy");
    return create(PolicySchema, {
      channelId: "ch1",
      chaincodeId,
      number: isSet && former ? former.number + 1n : 1n,
      previousPolicyHash: isSet && former ? policyHash(former) : new Uint8Array(),
      organisations: organisationNames.map((mspId, index) => ({
        mspId,
        policyKey: this.policyKey(mspId).publicPem,
        recoveryKey: rsaPair(4 + index).publicPem,
      })),
      threshold: 2,
      allowedVersions: [version],
      allowedAttestationTypes: ["simulated"],
      evidenceAgeSeconds: 86_400n,
      recoveryThreshold: 2,
      exportLifetimeSeconds: 3600n,
      trustedLedger: {
        erccName: "ercc",
        quorum: 2,
        organisations: organisationNames.map((mspId) => ({
          mspId,
          rootCertificates: [Buffer.from(`root of ${mspId}`)],
        })),
      },
      ...change,
    } as MessageInitShape<typeof PolicySchema>);
  }

  async setPolicy(change: MessageInitShape<typeof PolicySchema>): Promise<void> {
    const policy = this.nextPolicy(change);
    await this.call("Org1MSP", "setPolicy", chaincodeId, this.signed(policy));
    this.policy = policy;
    if (policy.number === 1n) this.firstPolicyHash = policyHash(policy);
  }

  /** As base64 text. */
  signed(policy: Policy, signers: readonly string[] = organisationNames): string {
    const bytes = encode(PolicySchema, policy);
    const signatures = signers.map((mspId) =>
      create(PolicySignatureSchema, { mspId, signature: signPolicy(bytes, this.policyKey(mspId).key) }),
    );
    return encodeArgument(SignedPolicySchema, create(SignedPolicySchema, { policy: bytes, signatures }));
  }

  policyKey(mspId: string): SigningPair {
    const pair = this.policyKeys.get(mspId);
    assert(pair !== undefined);
    return pair;
  }

  enclave(mspId: string, settings: EnclaveSettings = {}, keys: SigningPair = signingPair()): TestEnclave {
    const { rsa = 0, attested = {}, ccParams = {}, madeAtMs = this.nowMs, tcbEvaluationNumber } = settings;
    const trusted = create(TrustedLedgerParametersSchema, {
      ...this.policy.trustedLedger,
      firstPolicyHash: this.firstPolicyHash,
    } as MessageInitShape<typeof TrustedLedgerParametersSchema>);
    const data = create(AttestedDataSchema, {
      ccParams: { chaincodeId, version, sequence: 1n, channelId: "ch1", ...ccParams },
      hostParams: { peerMspId: mspId, peerEndpoint: `${mspId.toLowerCase()}.example:7051` },
      enclaveVk: keys.publicPem,
      enclaveEk: rsaPair(rsa).publicPem,
      channelHash: this.ledger.channelHash,
      trustedLedgerHash: createHash("sha256").update(encode(TrustedLedgerParametersSchema, trusted)).digest(),
      onCreation: true,
      ...attested,
    } as MessageInitShape<typeof AttestedDataSchema>);
    const packed = packAny(AttestedDataSchema, data);
    const evidence = { madeAtMs, ...(tcbEvaluationNumber === undefined ? {} : { tcbEvaluationNumber }) };
    const credentials = create(CredentialsSchema, {
      serializedAttestedData: packed,
      attestation: Buffer.from('{"fake":true}'),
      evidence: fakeEvidence(packed.value, evidence),
    });
    // Tests give what no enclave would say; it is read here only for what is right in it.
    const read = { attested: data, ...readOrEmpty(credentials) } as ReadCredentials;
    const id = createHash("sha256").update(keys.publicPem).digest("hex").toUpperCase();
    return { mspId, id, sk: keys.key, dk: rsaPair(rsa).privateKey, read, attested: data, credentials };
  }

  async register(enclave: TestEnclave): Promise<TestEnclave> {
    await this.call(enclave.mspId, "registerEnclave", argumentOf(enclave));
    return enclave;
  }

  /** A registered one. */
  newEnclave(mspId: string, settings: EnclaveSettings = {}): Promise<TestEnclave> {
    return this.register(this.enclave(mspId, settings));
  }

  registration(
    enclave: TestEnclave,
    { number, ekPem, stateKeyCommitment }: GenerationClaim,
    change: { ccParamsHash?: Uint8Array; enclaveId?: Uint8Array; stateKeyCommitment?: Uint8Array } = {},
    sk: KeyObject = enclave.sk,
  ): string {
    const { ccParamsHash, enclaveId } = enclave.read;
    const id = enclaveId.bytes;
    const claim = { ccParamsHash, enclaveId: id, chaincodeEk: ekPem, generation: number, stateKeyCommitment };
    const message = { ...claim, ...change };
    return encodeArgument(SignedCCKeyRegistrationMessageSchema, signRegistration(message, sk));
  }

  async registerKeys(enclave: TestEnclave, generation: GenerationClaim): Promise<void> {
    await this.call(enclave.mspId, "registerCCKeys", chaincodeId, this.registration(enclave, generation));
  }

  export(
    sender: TestEnclave,
    receiver: TestEnclave,
    generation: ChaincodeGeneration,
    sk = sender.sk,
  ): SignedExportMessage {
    const { vkPem, ccParamsHash } = sender.read;
    return makeExport({ sender: { sk, vkPem, ccParamsHash }, receiver: receiver.read, generation });
  }

  async putExport(sender: TestEnclave, receiver: TestEnclave, generation: ChaincodeGeneration): Promise<string> {
    const text = encodeArgument(SignedExportMessageSchema, this.export(sender, receiver, generation));
    await this.call(sender.mspId, "putKeyExport", chaincodeId, text);
    return text;
  }

  /** Registers an enclave's import of what the sender exports to it. */
  async share(sender: TestEnclave, receiver: TestEnclave, generation: ChaincodeGeneration): Promise<void> {
    await this.putExport(sender, receiver, generation);
    await this.registerKeys(receiver, generation);
  }

  proposal(
    proposer: TestEnclave,
    generation: ChaincodeGeneration,
    previous: ChaincodeGeneration,
    sk = proposer.sk,
  ): string {
    const { ccParamsHash, enclaveId } = proposer.read;
    const signed = signProposal({ ccParamsHash, generation, previous, proposerId: enclaveId.bytes }, sk);
    return encodeArgument(SignedGenerationProposalMessageSchema, signed);
  }

  async propose(proposer: TestEnclave, generation: ChaincodeGeneration, previous: ChaincodeGeneration): Promise<void> {
    const text = this.proposal(proposer, generation, previous);
    await this.call(proposer.mspId, "proposeGeneration", chaincodeId, text);
  }

  /** Endorses and commits. @param who - An admin of this organisation, or somebody else */
  async call(who: string | Creator, transaction: string, ...args: string[]): Promise<string> {
    const { result, state } = await this.endorse(who, transaction, ...args);
    assert(this.ledger.commit(state), "the transaction is in conflict");
    this.called.push({ creator: state.creator, atMs: state.timestampMs, transaction, args });
    return result;
  }

  async endorse(
    who: string | Creator,
    transaction: string,
    ...args: string[]
  ): Promise<{ readonly result: string; readonly state: MemoryTransaction }> {
    const creator = typeof who === "string" ? { mspId: who, isAdmin: true } : who;
    const state = this.ledger.begin(creator, this.nowMs);
    return { result: await new Registry(state, this.judge).call(transaction, args), state };
  }

  /** That the transaction is refused for this reason, before it has written anything. */
  async refuses(
    code: EnclaveErrorCode,
    text: RegExp,
    who: string | Creator,
    transaction: string,
    ...args: string[]
  ): Promise<void> {
    const creator = typeof who === "string" ? { mspId: who, isAdmin: true } : who;
    const before = this.ledger.snapshot();
    const state = this.ledger.begin(creator, this.nowMs);
    await assert.rejects(new Registry(state, this.judge).call(transaction, args), (error: unknown) => {
      assert(error instanceof EnclaveError, String(error));
      assert.equal(error.code, code, error.message);
      assert.match(error.message, text);
      return true;
    });
    assert.equal(state.writes.size, 0, "something was written before the refusal");
    assert.equal(this.ledger.snapshot(), before);
  }

  pass(hours: number): void {
    this.nowMs += hours * hour;
  }
}

export function argumentOf(enclave: TestEnclave): string {
  return encodeArgument(CredentialsSchema, enclave.credentials);
}

function readOrEmpty(credentials: Credentials): Partial<ReadCredentials> {
  try {
    return readCredentials(credentials);
  } catch {
    return {};
  }
}

/** Generation 1, and others that may follow it. */
export const generations = {
  first: testGeneration(1n, 2),
  otherFirst: testGeneration(1n, 3),
  second: testGeneration(2n, 3),
  otherSecond: testGeneration(2n, 4),
  third: testGeneration(3n, 5),
} as const;
