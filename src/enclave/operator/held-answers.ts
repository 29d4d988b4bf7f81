import { setTimeout as wait } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { EnclaveError, type EnclaveErrorCode } from "../errors.ts";
import { type Response, ResponseSchema } from "../messages/generated/fabric/peer_pb.ts";
import { type ChaincodeResponseMessage, FPCKVSetSchema } from "../messages/generated/fpc/fpc_pb.ts";
import { encode } from "../messages/strict.ts";
import type { Release } from "../process/release.ts";
import { commitHashOf, openHeldAnswer } from "../protocol/held-answer.ts";
import type { EnclaveAgent } from "../stub/agent.ts";

/** How long enclaves are given to hear of a commit. */
export interface ReleasePatience {
  /** How often is asked while enclaves do not know of the commit yet. @defaultValue 8 */
  readonly attempts?: number;
  /** Before the second attempt; each later one waits as long again. @defaultValue 100 */
  readonly waitMs?: number;
}

/**
 * What peers are to apply, and enclaves to have seen applied; undefined where the enclaves wrote nothing.
 *
 * @throws EnclaveError CONFLICT: they read or wrote different values
 */
export function commitOf(
  messages: readonly ChaincodeResponseMessage[],
  proposal: Uint8Array,
): Pick<Release, "commitHash" | "generation"> | undefined {
  const [first, ...others] = messages.map(({ fpcRwSet = create(FPCKVSetSchema), heldGeneration }) => ({
    commitHash: commitHashOf(proposal, fpcRwSet),
    generation: heldGeneration,
  }));
  if (first === undefined) throw new EnclaveError("SETTINGS_INVALID", "a call takes at least one enclave");
  if (others.some((one) => one.generation !== first.generation || !one.commitHash.equals(first.commitHash)))
    throw new EnclaveError("CONFLICT", "the enclaves read or wrote different values", {
      hint: "ask again: one of their ledgers may have been behind",
    });
  return first.generation === 0n ? undefined : first;
}

/**
 * The answers without the layer that held them back, by the word of the first enclave that knows of the commit.
 *
 * @throws EnclaveError what the last one refused with; BAD_CIPHERTEXT: an answer is not held by this commit's key
 */
export async function released(
  stubs: readonly Pick<EnclaveAgent, "release">[],
  messages: readonly ChaincodeResponseMessage[],
  release: Release,
  { attempts = 8, waitMs = 100 }: ReleasePatience,
): Promise<readonly Buffer[]> {
  let refusal: EnclaveError | undefined;
  for (let attempt = 1; attempt <= attempts; attempt += 1) {
    for (const stub of stubs)
      try {
        const key = await stub.release(release);
        try {
          return messages.map(({ encryptedResponse }) => openHeldAnswer(key, release.commitHash, encryptedResponse));
        } finally {
          key.fill(0);
        }
      } catch (error) {
        // Its peers, or its ledger enclave, may not have the block yet; or it is gone, and another one answers.
        if (!(error instanceof EnclaveError) || !notYetCodes.has(error.code)) throw error;
        refusal = error;
      }
    if (attempt < attempts) await wait(waitMs * attempt);
  }
  throw new EnclaveError(
    refusal?.code ?? "LEDGER_UNAVAILABLE",
    `what was asked for is done, in block ${release.block}, and no enclave gives its answer: ${refusal?.message}`,
  );
}

const notYetCodes: ReadonlySet<EnclaveErrorCode> = new Set([
  "NOT_FOUND",
  "LEDGER_UNAVAILABLE",
  "REPLAY",
  "ENCLAVE_ENDED",
]);

/** Peers hold against each other what enclaves read and wrote; what they answer, only the client can. @throws EnclaveError CONFLICT */
export function sameAnswer(answers: readonly Response[]): Response {
  const [first, ...others] = answers;
  if (first === undefined) throw new EnclaveError("SETTINGS_INVALID", "a call takes at least one enclave");
  const bytes = encode(ResponseSchema, first);
  if (others.some((other) => !encode(ResponseSchema, other).equals(bytes)))
    throw new EnclaveError("CONFLICT", "the enclaves give different answers: one of them is not what it should be");
  return first;
}
