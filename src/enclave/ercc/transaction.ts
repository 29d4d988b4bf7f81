import { EnclaveError } from "../errors.ts";
import type { EvidenceJudge } from "../evidence/judge.ts";
import { checkChaincodeId, maxGeneration } from "../protocol/fields.ts";
import type { RegistryState } from "./registry-state.ts";

/** What a transaction of ERCC has to go by, and nothing else: with the same of it, every peer comes to the same result. */
export interface TransactionContext {
  readonly state: RegistryState;
  readonly evidence: EvidenceJudge;
}

/**
 * A transaction of ERCC. It checks everything before it writes anything, and reads nothing that it has written itself: a peer
 * would give it what was there before.
 */
export interface Transaction {
  /** What its arguments are called, for the error where one is missing; those after `optional` may be left out. */
  readonly parameters: readonly string[];
  /** How many of the last may be left out. */
  readonly optional?: number;
  run(context: TransactionContext, args: readonly string[]): Promise<string>;
}

/** @throws EnclaveError MALFORMED: too many or too few */
export function checkArguments(
  transaction: string,
  { parameters, optional = 0 }: Transaction,
  args: readonly string[],
) {
  if (args.length > parameters.length || args.length < parameters.length - optional)
    throw new EnclaveError("MALFORMED", `${transaction} takes ${parameters.join(", ")}; ${args.length} were given`);
}

/** @throws EnclaveError MALFORMED */
export function readChaincodeId(text = ""): string {
  checkChaincodeId(text, "the chaincode's id");
  return text;
}

/** A generation's or a policy's number as decimal text, from 1. @throws EnclaveError MALFORMED */
export function readNumber(text = "", name: string): bigint {
  if (!/^[1-9][0-9]{0,9}$/.test(text) || BigInt(text) > maxGeneration)
    throw new EnclaveError("MALFORMED", `${name} is not a decimal number from 1`);
  return BigInt(text);
}

/** @throws EnclaveError UNAUTHORIZED */
export function requireAdmin({ state }: TransactionContext): void {
  if (!state.creator.isAdmin)
    throw new EnclaveError("UNAUTHORIZED", `the creator of the transaction is no admin of ${state.creator.mspId}`);
}

/** @param mspId - The organisation whose admin it takes. @throws EnclaveError UNAUTHORIZED */
export function requireOrganisation({ state }: TransactionContext, mspId: string): void {
  if (state.creator.mspId !== mspId)
    throw new EnclaveError(
      "UNAUTHORIZED",
      `the creator of the transaction is of ${state.creator.mspId}; it takes an admin of ${mspId}`,
    );
}
