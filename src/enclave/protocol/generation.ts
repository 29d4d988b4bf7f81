import { createHash, type KeyObject } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { EnclaveError } from "../errors.ts";
import { packAny, unpackAny } from "../messages/any.ts";
import {
  type GenerationProposalMessage,
  GenerationProposalMessageSchema,
  type SignedGenerationProposalMessage,
  SignedGenerationProposalMessageSchema,
} from "../messages/generated/fpc/key_dist_pb.ts";
import { type ChaincodeGeneration, unwrapPrevious, wrapPrevious } from "./chaincode-keys.ts";
import { enclaveIdOf, readEnclaveId } from "./enclave-id.ts";
import { checkGeneration, checkHash, checkSignature } from "./fields.ts";
import { readEncryptionKey, readVerificationKey } from "./key-formats.ts";
import { signMessage, verifyMessage } from "./signing.ts";

export interface ProposalParts {
  readonly ccParamsHash: Uint8Array;
  readonly generation: ChaincodeGeneration;
  /** The active one, right before it. */
  readonly previous: ChaincodeGeneration;
  /** 32 bytes. */
  readonly proposerId: Uint8Array;
}

/** A new generation as its maker proposes it: the EK, and the generation before under the new SEK. @param sk - Enclave_SK. */
export function signProposal(parts: ProposalParts, sk: KeyObject): SignedGenerationProposalMessage {
  const { ccParamsHash, generation, previous, proposerId } = parts;
  const message = create(GenerationProposalMessageSchema, {
    ccParamsHash,
    number: generation.number,
    chaincodeEk: generation.ekPem,
    wrappedPrevious: wrapPrevious(generation, previous, ccParamsHash),
    proposerEnclaveId: proposerId,
    previousChaincodeEkHash: previous.ekHash,
    stateKeyCommitment: generation.stateKeyCommitment,
  });
  const packed = packAny(GenerationProposalMessageSchema, message);
  return create(SignedGenerationProposalMessageSchema, {
    serializedProposal: packed,
    signature: signMessage("generationProposal", packed.value, sk),
  });
}

/** What it says, whoever signed it. @throws EnclaveError MALFORMED, naming the field */
export function readProposal(signed: SignedGenerationProposalMessage): GenerationProposalMessage {
  checkSignature(signed.signature, "SignedGenerationProposalMessage.signature");
  const message = unpackAny(
    GenerationProposalMessageSchema,
    signed.serializedProposal,
    "SignedGenerationProposalMessage.serialized_proposal",
    [
      "cc_params_hash",
      "number",
      "chaincode_ek",
      "wrapped_previous",
      "proposer_enclave_id",
      "previous_chaincode_ek_hash",
    ],
  );
  checkHash(message.ccParamsHash, "GenerationProposalMessage.cc_params_hash");
  checkGeneration(message.number, "GenerationProposalMessage.number");
  if (message.number < 2n)
    throw new EnclaveError("MALFORMED", "GenerationProposalMessage.number is 1: the first generation is not proposed");
  readEncryptionKey(message.chaincodeEk, "GenerationProposalMessage.chaincode_ek");
  readEnclaveId(message.proposerEnclaveId, "GenerationProposalMessage.proposer_enclave_id");
  checkHash(message.previousChaincodeEkHash, "GenerationProposalMessage.previous_chaincode_ek_hash");
  if (message.stateKeyCommitment.length > 0)
    checkHash(message.stateKeyCommitment, "GenerationProposalMessage.state_key_commitment");
  return message;
}

/**
 * @param vkPem - Of the proposer's credentials.
 * @throws EnclaveError MALFORMED; WRONG_CONTEXT: it speaks of another enclave; BAD_SIGNATURE
 */
export function verifyProposal(signed: SignedGenerationProposalMessage, vkPem: Uint8Array): GenerationProposalMessage {
  const message = readProposal(signed);
  const vk = readVerificationKey(vkPem, "AttestedData.enclave_vk");
  if (!enclaveIdOf(vkPem).bytes.equals(message.proposerEnclaveId))
    throw new EnclaveError("WRONG_CONTEXT", "the proposal is of another enclave");
  verifyMessage("generationProposal", signed.serializedProposal?.value ?? new Uint8Array(), signed.signature, vk);
  return message;
}

/**
 * The generation before `newer`, out of what the ledger has of `newer`.
 *
 * @throws EnclaveError WRONG_CONTEXT: the proposal is of another generation; EK_MISMATCH: of another key, or what it wraps is of
 *   another key than it says; BAD_CIPHERTEXT
 */
export function openPrevious(newer: ChaincodeGeneration, proposal: GenerationProposalMessage): ChaincodeGeneration {
  if (proposal.number !== newer.number)
    throw new EnclaveError("WRONG_CONTEXT", "the proposal is of another generation than the one that is to open it");
  if (!newer.ekPem.equals(proposal.chaincodeEk))
    throw new EnclaveError("EK_MISMATCH", `the proposal has another chaincode key for generation ${newer.number}`);
  const previous = unwrapPrevious(newer, proposal.wrappedPrevious, proposal.ccParamsHash);
  if (previous.ekHash.equals(proposal.previousChaincodeEkHash)) return previous;
  previous[Symbol.dispose]();
  throw new EnclaveError("EK_MISMATCH", `generation ${newer.number} wraps another key than it names`);
}

/**
 * Whether a proposed generation may become the active one: more than half of the enclaves that hold the active one, and are not
 * revoked, have confirmed that they hold the new one. Ids as upper-case hexadecimal.
 */
export function hasMajority(
  confirmed: Iterable<string>,
  provisioned: Iterable<string>,
  revoked: ReadonlySet<string>,
): boolean {
  const voters = new Set([...provisioned].filter((id) => !revoked.has(id)));
  const votes = new Set([...confirmed].filter((id) => voters.has(id)));
  return votes.size * 2 > voters.size;
}

/** SHA-256 of a chaincode key's PEM, as proposals and sealed headers have it. */
export function ekHashOf(ekPem: Uint8Array): Buffer {
  return createHash("sha256").update(ekPem).digest();
}
