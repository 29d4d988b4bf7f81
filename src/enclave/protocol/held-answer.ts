import { createHash, hkdfSync } from "node:crypto";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { type FPCKVSet, FPCKVSetSchema } from "../messages/generated/fpc/fpc_pb.ts";
import { encode } from "../messages/strict.ts";
import type { ChaincodeGeneration } from "./chaincode-keys.ts";
import { decryptMessage, encryptMessage, messageKeyBytes } from "./message-cipher.ts";

/*
 * The answer to a call that writes is held back until the ledger has applied what was written (decision 0623): it is encrypted
 * once more, under a key that every enclave of the chaincode can derive and gives out only once it has seen the commit. So a
 * host that keeps an answer back from the ledger keeps it back from the client as well.
 */

const commitName = "strongroom/fpc/v1/commit";
const keyName = "strongroom/fpc/v1/held-answer";
const appliedType = "responses";
export const commitHashBytes = 32;

/** Key of the private chaincode's state under which peers note which answer to a proposal they have applied: its {@link commitHashOf}. */
export function appliedKey(txId: string): string {
  return `\u0000${appliedType}\u0000${txId}\u0000`;
}

/**
 * What a commit is known by: SHA-256 over the proposal and all that was read and written for it. One proposal may be answered over
 * several states; at most one of the answers is ever applied.
 *
 * @param proposal - protos.Proposal
 */
export function commitHashOf(proposal: Uint8Array, set: FPCKVSet): Buffer {
  const digest = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest();
  return createHash("sha256")
    .update(`${commitName}\u0000`)
    .update(digest(proposal))
    .update(digest(encode(FPCKVSetSchema, set)))
    .digest();
}

/** The key that opens an answer of this commit; the caller's to wipe. 16 bytes, by HKDF-SHA-256 from SEK. */
export function releaseKey(generation: ChaincodeGeneration, commitHash: Uint8Array): SecretBuffer {
  const info = Buffer.concat([Buffer.from(`${keyName}\u0000`), commitHash]);
  return generation.stateKey.expose((stateKey) =>
    SecretBuffer.take(Buffer.from(hkdfSync("sha256", stateKey, Buffer.alloc(0), info, messageKeyBytes))),
  );
}

/** @param answer - The response, encrypted for its client. */
export function holdAnswer(generation: ChaincodeGeneration, commitHash: Uint8Array, answer: Uint8Array): Buffer {
  using key = releaseKey(generation, commitHash);
  return key.expose((bytes) => encryptMessage(bytes, answer, commitHash));
}

/** @param key - As an enclave released it. @throws EnclaveError BAD_CIPHERTEXT */
export function openHeldAnswer(key: Uint8Array, commitHash: Uint8Array, held: Uint8Array): Buffer {
  return decryptMessage(key, held, "the answer that was held back", commitHash);
}
