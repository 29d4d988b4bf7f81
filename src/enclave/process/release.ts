import { EnclaveError } from "../errors.ts";
import { checkGeneration } from "../protocol/fields.ts";
import { appliedKey, commitHashBytes, releaseKey } from "../protocol/held-answer.ts";
import { sha256 } from "./identity.ts";
import type { OpenEnclave } from "./open-enclave.ts";

/** Which answer is to be opened. Nothing in it is secret. */
export interface Release {
  /** Of the proposal that was answered. */
  readonly txId: string;
  /** By `commitHashOf`. */
  readonly commitHash: Uint8Array;
  /** Under which the answer is held. */
  readonly generation: bigint;
  /** The block in which the peers' transaction is said to be; 0 where it is not known. */
  readonly block: bigint;
}

/**
 * The key that opens the answers of a commit, once the ledger has applied it: peers then note under the proposal's transaction
 * id what they have applied. Whoever brings the question, nothing else opens by the answer.
 *
 * @returns 16 bytes
 * @throws EnclaveError NOT_FOUND: nothing is applied for this proposal, or not yet; WRONG_CONTEXT: another answer to it was;
 *   NOT_PROVISIONED: this enclave does not hold the generation; MALFORMED; what the trusted ledger throws
 */
export async function releaseAnswer(
  enclave: OpenEnclave,
  { txId, commitHash, generation, block }: Release,
): Promise<Buffer> {
  const held = enclave.generation(generation);
  if (held === undefined)
    throw new EnclaveError("NOT_PROVISIONED", `this enclave does not hold generation ${generation} of the keys`);
  const [applied] = await enclave.ledger.stateHashes([appliedKey(txId)], block);
  if (applied === undefined)
    throw new EnclaveError("NOT_FOUND", `the ledger has applied no answer to proposal ${txId}`, {
      hint: "have peers take the answers over (__endorse), then ask again",
    });
  if (!sha256(commitHash).equals(applied))
    throw new EnclaveError("WRONG_CONTEXT", `the ledger has applied another answer to proposal ${txId}`);
  using key = releaseKey(held.keys, commitHash);
  return key.expose((bytes) => Buffer.from(bytes));
}

/** Transaction id in hexadecimal; commit hash; generation; block. */
export function writeRelease({ txId, commitHash, generation, block }: Release): readonly Uint8Array[] {
  const text = (value: string | bigint) => Buffer.from(`${value}`);
  return [text(txId), commitHash, text(generation), text(block)];
}

/** @throws EnclaveError MALFORMED */
export function readRelease([txId, commitHash, generation, block, ...more]: readonly Buffer[]): Release {
  const isRight =
    more.length === 0 &&
    commitHash?.length === commitHashBytes &&
    /^[0-9a-f]{64}$/.test(`${txId}`) &&
    /^[1-9][0-9]{0,9}$/.test(`${generation}`) &&
    /^(?:0|[1-9][0-9]{0,18})$/.test(`${block}`);
  if (!isRight) throw new EnclaveError("MALFORMED", "the call does not say which answer is to be released");
  const number = BigInt(`${generation}`);
  checkGeneration(number, "the generation of an answer");
  return { txId: `${txId}`, commitHash, generation: number, block: BigInt(`${block}`) };
}
