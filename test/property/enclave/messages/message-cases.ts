import { create, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import {
  AttestedDataSchema,
  ChaincodeRequestMessageSchema,
  ChaincodeResponseMessageSchema,
  CredentialsSchema,
} from "../../../../src/enclave/messages/generated/fpc/fpc_pb.ts";
import {
  CCKeyRegistrationMessageSchema,
  ExportMessageSchema,
  GenerationProposalMessageSchema,
  GenerationRecordSchema,
  KeyGenerationSchema,
  RecoveryMessageSchema,
  ReleasedShareMessageSchema,
  RevocationRecordSchema,
} from "../../../../src/enclave/messages/generated/fpc/key_dist_pb.ts";
import {
  PolicySchema,
  RevocationStatementSchema,
  SignedPolicySchema,
  SignedRevocationStatementSchema,
  TrustedLedgerParametersSchema,
} from "../../../../src/enclave/messages/generated/fpc/policy_pb.ts";
import { SealedBlobSchema, SealedEnclaveSchema } from "../../../../src/enclave/messages/generated/fpc/sealed_pb.ts";
import { SessionMsgPayloadSchema } from "../../../../src/enclave/messages/generated/fpc/tl_session_pb.ts";
import { RequestSchema, ResponseSchema } from "../../../../src/enclave/messages/generated/fpc/trusted_ledger_pb.ts";
import { decodeStrict, encode } from "../../../../src/enclave/messages/strict.ts";
import { readCredentials } from "../../../../src/enclave/protocol/attested-data.ts";
import { ChaincodeGeneration } from "../../../../src/enclave/protocol/chaincode-keys.ts";
import { readResponse } from "../../../../src/enclave/protocol/chaincode-response.ts";
import { makeExport, readExport } from "../../../../src/enclave/protocol/export.ts";
import { readProposal, signProposal } from "../../../../src/enclave/protocol/generation.ts";
import { readPolicy } from "../../../../src/enclave/protocol/policy.ts";
import { issueRecovery, openShare } from "../../../../src/enclave/protocol/recovery.ts";
import { readRecovery } from "../../../../src/enclave/protocol/recovery-form.ts";
import { readRegistration, signRegistration } from "../../../../src/enclave/protocol/registration.ts";
import { readReleasedShare, releaseShare } from "../../../../src/enclave/protocol/released-share.ts";
import { concealRequest, revealRequest } from "../../../../src/enclave/protocol/request-encryption.ts";
import { readRevocation, signRevocation } from "../../../../src/enclave/protocol/revocation.ts";
import {
  attestedData,
  credentialsOf,
  enclave,
  encryptionKey,
  generation,
  policy,
  signedPolicy,
  signingKey,
} from "../../../unit/enclave/protocol/fixtures.ts";

/** A real message, and what reads it: the whole of it, in form. */
export interface MessageCase {
  readonly schema: DescMessage;
  readonly bytes: Buffer;
  readonly read: (bytes: Uint8Array) => void;
  /** Fields, by their proto names, without which it is read as well. */
  readonly optional: readonly string[];
}

const all = (schema: DescMessage) => schema.fields.map((field) => field.name);
const signature = Buffer.from("3006020101020101", "hex");
const anyOf = (schema: DescMessage, value: Uint8Array) =>
  create(AnySchema, { typeUrl: `type.googleapis.com/${schema.typeName}`, value });

function plain<Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>): MessageCase {
  return {
    schema,
    bytes: encode(schema, message),
    read: (bytes) => decodeStrict(schema, bytes),
    optional: all(schema),
  };
}

/** One message of each kind that enclaves, registry and hosts read. */
export async function messageCases(): Promise<MessageCase[]> {
  const [one, two] = [enclave("enclave1"), enclave("enclave2")];
  const [first, second] = [generation(1), generation(2)];
  const { key: sk } = signingKey("enclave1");
  const { ccParamsHash } = one;
  const enclaveId = one.enclaveId.bytes;
  const registration = signRegistration(
    {
      ccParamsHash,
      chaincodeEk: first.ekPem,
      enclaveId,
      generation: 1n,
      stateKeyCommitment: first.stateKeyCommitment,
    },
    sk,
  );
  const exported = makeExport({ sender: { sk, vkPem: one.vkPem, ccParamsHash }, receiver: two, generation: first });
  const proposal = signProposal({ ccParamsHash, generation: second, previous: first, proposerId: enclaveId }, sk);
  const recovery = await issueRecovery({
    ccParamsHash,
    generation: first,
    policy: policy(),
    issuer: { enclaveId, sk },
  });
  using share = openShare(readRecovery(recovery), "Org1MSP", encryptionKey("org1").key);
  const released = releaseShare({ recovery, mspId: "Org1MSP", share, receiver: two }, signingKey("org1").key);
  const statement = encode(
    RevocationStatementSchema,
    create(RevocationStatementSchema, {
      channelId: "ch1",
      chaincodeId: "auction",
      enclaveId,
      reason: "lost",
      policyNumber: 1n,
    }),
  );
  const credentials = credentialsOf(attestedData("enclave1", { tlccMrenclave: "AB".repeat(32) }));
  const response = create(ChaincodeResponseMessageSchema, {
    encryptedResponse: Buffer.alloc(30, 1),
    fpcRwSet: {
      rwSet: {
        reads: [{ key: "a", version: { blockNum: 3n, txNum: 1n } }],
        writes: [
          { key: "b", value: Buffer.of(1) },
          { key: "c", isDelete: true },
        ],
      },
      readValueHashes: [Buffer.alloc(32, 1)],
    },
    proposal: { proposalBytes: Buffer.of(1), signature: Buffer.of(2) },
    chaincodeRequestMessageHash: Buffer.alloc(32, 2),
    enclaveId: one.enclaveId.text,
  });
  const signed = (value: Uint8Array) => ({ signature, value });
  const packed = <Desc extends DescMessage>(
    schema: Desc,
    value: Uint8Array | undefined,
    read: (bytes: Uint8Array) => void,
    optional: readonly string[] = [],
  ) => ({
    schema,
    bytes: Buffer.from(value ?? []),
    read,
    optional,
  });
  return [
    {
      schema: CredentialsSchema,
      bytes: encode(CredentialsSchema, credentials),
      read: (bytes) => readCredentials(decodeStrict(CredentialsSchema, bytes)),
      optional: ["attestation"],
    },
    {
      schema: AttestedDataSchema,
      bytes: Buffer.from(credentials.serializedAttestedData?.value ?? []),
      read: (value) => readCredentials({ ...credentials, serializedAttestedData: anyOf(AttestedDataSchema, value) }),
      optional: ["tlcc_mrenclave", "on_creation"],
    },
    packed(
      CCKeyRegistrationMessageSchema,
      registration.serializedCckeyRegMsg?.value,
      (value) =>
        readRegistration({
          ...registration,
          ...signed(value),
          serializedCckeyRegMsg: anyOf(CCKeyRegistrationMessageSchema, value),
        }),
      // ERCC demands it; what was signed before there was one is read as well.
      ["state_key_commitment"],
    ),
    packed(ExportMessageSchema, exported.serializedExportMsgBytes?.value, (value) =>
      readExport({ ...exported, serializedExportMsgBytes: anyOf(ExportMessageSchema, value) }),
    ),
    packed(
      GenerationProposalMessageSchema,
      proposal.serializedProposal?.value,
      (value) => readProposal({ ...proposal, serializedProposal: anyOf(GenerationProposalMessageSchema, value) }),
      ["state_key_commitment"],
    ),
    packed(
      RecoveryMessageSchema,
      recovery.serializedRecovery?.value,
      (value) => readRecovery({ ...recovery, serializedRecovery: anyOf(RecoveryMessageSchema, value) }),
      ["policy_number", "sealed_shares"],
    ),
    packed(ReleasedShareMessageSchema, released.serializedRelease?.value, (value) =>
      readReleasedShare({ ...released, serializedRelease: anyOf(ReleasedShareMessageSchema, value) }),
    ),
    packed(RevocationStatementSchema, statement, (value) =>
      readRevocation(create(SignedRevocationStatementSchema, { statement: value })),
    ),
    {
      schema: PolicySchema,
      bytes: encode(
        PolicySchema,
        policy({ exportRules: [{ $typeName: "strongroom.fpc.ExportRule", fromMsp: "Org1MSP", toMsp: "Org2MSP" }] }),
      ),
      read: readPolicy,
      optional: ["allowed_tcb_statuses", "export_rules", "recovery_threshold", "attestation_roots"],
    },
    plain(SignedPolicySchema, signedPolicy(policy())),
    plain(
      SignedRevocationStatementSchema,
      create(SignedRevocationStatementSchema, { statement, signatures: [signRevocation(statement, "Org1MSP", sk)] }),
    ),
    {
      schema: KeyGenerationSchema,
      bytes: first.encode().expose((bytes) => Buffer.from(bytes)),
      read: (bytes) => ChaincodeGeneration.fromBytes(SecretBuffer.copyOf(bytes)),
      optional: [],
    },
    plain(
      GenerationRecordSchema,
      create(GenerationRecordSchema, {
        proposal,
        state: "proposed",
        proposedAtMs: 5n,
        changedAtMs: 6n,
        confirmedBy: [enclaveId],
        abandonVotes: ["Org2MSP"],
        stateKeyCommitment: second.stateKeyCommitment,
      }),
    ),
    plain(
      RevocationRecordSchema,
      create(RevocationRecordSchema, {
        enclaveId,
        reason: "lost",
        revokedAtMs: 5n,
        lastGeneration: 1n,
        revokedByMsp: "Org1MSP",
      }),
    ),
    {
      schema: ChaincodeRequestMessageSchema,
      bytes: encode(ChaincodeRequestMessageSchema, concealRequest(first.ekPem, [Buffer.from("bid")]).message),
      read: (bytes) => revealRequest(bytes, encryptionKey("chaincode2").key),
      optional: [],
    },
    {
      schema: ChaincodeResponseMessageSchema,
      bytes: encode(ChaincodeResponseMessageSchema, response),
      read: (chaincodeResponseMessage) =>
        readResponse({ $typeName: "fpc.SignedChaincodeResponseMessage", chaincodeResponseMessage, signature }),
      optional: ["fpc_rw_set"],
    },
    plain(
      SealedEnclaveSchema,
      create(SealedEnclaveSchema, {
        attestedData: attestedData("enclave1"),
        generations: [{ number: 1n, stateEncryptionKey: Buffer.alloc(16, 1) }],
        registered: [true, false, true],
        blobNumber: 300n,
      }),
    ),
    plain(
      SealedBlobSchema,
      create(SealedBlobSchema, {
        header: { tee: "process", format: 1, sequence: 1n, enclaveId },
        ciphertext: Buffer.alloc(99, 1),
      }),
    ),
    plain(
      TrustedLedgerParametersSchema,
      create(TrustedLedgerParametersSchema, {
        erccName: "ercc",
        organisations: [{ mspId: "Org1MSP", rootCertificates: [Buffer.of(1), Buffer.of(2)] }],
        quorum: 2,
      }),
    ),
    plain(
      RequestSchema,
      create(RequestSchema, {
        txContext: Buffer.of(1),
        request: { case: "canEndorse", value: { chaincodeId: "a", enclaveId: "B" } },
      }),
    ),
    plain(
      ResponseSchema,
      create(ResponseSchema, { response: { case: "metadata", value: { hash: Buffer.alloc(32) } }, blockNumber: 9n }),
    ),
    plain(
      SessionMsgPayloadSchema,
      create(SessionMsgPayloadSchema, {
        payload: { case: "txReq", value: { sessionId: 1n, nonce: Buffer.alloc(16, 1), request: Buffer.of(1) } },
      }),
    ),
  ];
}
