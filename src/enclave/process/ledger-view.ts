import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { recordNames } from "../ercc/records.ts";
import type { RecordName } from "../ercc/registry-state.ts";
import { EnclaveError } from "../errors.ts";
import { decodeArgument } from "../messages/argument.ts";
import {
  type ChaincodeKeyState,
  ChaincodeKeyStateSchema,
  type ExportAnnouncement,
  ExportAnnouncementSchema,
} from "../messages/generated/fpc/ercc_pb.ts";
import { type EvidenceFloor, EvidenceFloorSchema } from "../messages/generated/fpc/evidence_pb.ts";
import { CredentialsSchema } from "../messages/generated/fpc/fpc_pb.ts";
import {
  type CCKeyRegistrationMessage,
  type GenerationProposalMessage,
  GenerationRecordSchema,
  SignedCCKeyRegistrationMessageSchema,
  type SignedExportMessage,
  SignedExportMessageSchema,
  type SignedRecoveryMessage,
  SignedRecoveryMessageSchema,
  type SignedReleasedShareMessage,
  SignedReleasedShareMessageSchema,
} from "../messages/generated/fpc/key_dist_pb.ts";
import { type SignedPolicy, SignedPolicySchema } from "../messages/generated/fpc/policy_pb.ts";
import type { LedgerSeen } from "../messages/generated/fpc/sealed_pb.ts";
import { type ReadCredentials, readCredentials } from "../protocol/attested-data.ts";
import { readProposal } from "../protocol/generation.ts";
import { readRegistration } from "../protocol/registration.ts";
import type { TrustedLedger } from "../trusted-ledger/trusted-ledger.ts";
import { LedgerMarks } from "./ledger-marks.ts";

/** A generation as the ledger has it. */
export interface LedgerGeneration {
  /** PEM. */
  readonly chaincodeEk: Buffer;
  /** Undefined of generation 1, which nobody proposes. */
  readonly proposal: GenerationProposalMessage | undefined;
  readonly stateKeyCommitment: Buffer;
  /** proposed, active, superseded, abandoned */
  readonly state: string;
}

/**
 * The registry's records of one chaincode, its own state and the channel's members, as the trusted ledger has them. Each is asked for anew: nothing is true for longer
 * than its answer. Every method throws what the trusted ledger does, and MALFORMED.
 */
export class LedgerView {
  readonly #ledger: TrustedLedger;
  readonly #chaincodeId: string;
  readonly #marks: LedgerMarks;

  /** @param seen - As it was sealed: nothing older is believed. */
  constructor(ledger: TrustedLedger, chaincodeId: string, seen: LedgerSeen) {
    this.#ledger = ledger;
    this.#chaincodeId = chaincodeId;
    this.#marks = new LedgerMarks(seen);
  }

  /** What has been seen of the ledger until now, to be sealed. */
  get seen(): LedgerSeen {
    return this.#marks.toMessage(this.#ledger.seen);
  }

  /** @throws EnclaveError REPLAY: a policy that is older than one seen in force */
  checkPolicy(number: bigint): void {
    this.#marks.checkPolicy(number);
  }

  /** @param number - Of the policy in force, once its line is verified. @throws EnclaveError REPLAY */
  notePolicy(number: bigint): void {
    this.#marks.notePolicy(number);
  }

  canEndorse(enclaveId: string): Promise<boolean> {
    return this.#ledger.canEndorse(this.#chaincodeId, enclaveId);
  }

  /** PEM of the active generation's EK. */
  async chaincodeEk(): Promise<Buffer | undefined> {
    const bytes = await this.#ledger.record(recordNames.chaincodeEk(this.#chaincodeId));
    return bytes === undefined ? undefined : Buffer.from(bytes);
  }

  /** @throws EnclaveError REPLAY: an older one than was seen before */
  async keyState(): Promise<ChaincodeKeyState | undefined> {
    const state = await this.#message(ChaincodeKeyStateSchema, recordNames.keyState(this.#chaincodeId));
    this.#marks.noteKeyState(state);
    return state;
  }

  async credentials(enclaveId: string): Promise<ReadCredentials | undefined> {
    const message = await this.#message(CredentialsSchema, recordNames.credentials(this.#chaincodeId, enclaveId));
    return message && readCredentials(message);
  }

  async provisioned(enclaveId: string): Promise<CCKeyRegistrationMessage | undefined> {
    return this.#registration(recordNames.provisioned(this.#chaincodeId, enclaveId));
  }

  async confirmed(number: bigint, enclaveId: string): Promise<CCKeyRegistrationMessage | undefined> {
    return this.#registration(recordNames.confirmed(this.#chaincodeId, number, enclaveId));
  }

  announced(receiverId: string, senderId: string): Promise<ExportAnnouncement | undefined> {
    return this.#message(ExportAnnouncementSchema, recordNames.announced(this.#chaincodeId, receiverId, senderId));
  }

  exported(enclaveId: string): Promise<SignedExportMessage | undefined> {
    return this.#message(SignedExportMessageSchema, recordNames.exported(this.#chaincodeId, enclaveId));
  }

  async generation(number: bigint): Promise<LedgerGeneration | undefined> {
    const record = await this.#message(GenerationRecordSchema, recordNames.generation(this.#chaincodeId, number));
    if (record === undefined) return undefined;
    const { chaincodeEk, stateKeyCommitment, proposal, state } = record;
    return {
      chaincodeEk: Buffer.from(chaincodeEk),
      stateKeyCommitment: Buffer.from(stateKeyCommitment),
      proposal: proposal && readProposal(proposal),
      state,
    };
  }

  /** @param issue - From 1: which one of the generation. */
  recovery(number: bigint, issue: bigint): Promise<SignedRecoveryMessage | undefined> {
    return this.#message(SignedRecoveryMessageSchema, recordNames.recovery(this.#chaincodeId, number, issue));
  }

  released(enclaveId: string, mspId: string, issue: bigint): Promise<SignedReleasedShareMessage | undefined> {
    const name = recordNames.released(this.#chaincodeId, enclaveId, mspId, issue);
    return this.#message(SignedReleasedShareMessageSchema, name);
  }

  /** @param number - Left out: the one in force. */
  signedPolicy(number?: bigint): Promise<SignedPolicy | undefined> {
    return this.#message(SignedPolicySchema, recordNames.policy(this.#chaincodeId, number));
  }

  floor(): Promise<EvidenceFloor | undefined> {
    return this.#message(EvidenceFloorSchema, recordNames.floor());
  }

  /** As {@link TrustedLedger.stateHashes}. */
  stateHashes(keys: readonly string[], minimumBlock: bigint): Promise<readonly (Uint8Array | undefined)[]> {
    return this.#ledger.stateHashes(keys, minimumBlock);
  }

  /** As {@link TrustedLedger.isMember}. */
  isMember(serializedIdentity: Uint8Array): Promise<boolean> {
    return this.#ledger.isMember(serializedIdentity);
  }

  async #registration(name: RecordName): Promise<CCKeyRegistrationMessage | undefined> {
    const message = await this.#message(SignedCCKeyRegistrationMessageSchema, name);
    return message && readRegistration(message);
  }

  async #message<Desc extends DescMessage>(schema: Desc, name: RecordName): Promise<MessageShape<Desc> | undefined> {
    const bytes = await this.#ledger.record(name);
    if (bytes === undefined) return undefined;
    try {
      return decodeArgument(schema, Buffer.from(bytes).toString("latin1"));
    } catch (cause) {
      throw new EnclaveError("MALFORMED", `the ledger's record ${name.type} is not of its form`, { cause });
    }
  }
}
