import { EnclaveError } from "../errors.ts";
import type { EvidenceJudge } from "../evidence/judge.ts";
import type { RegistryState } from "./registry-state.ts";
import { checkArguments, type Transaction } from "./transaction.ts";
import { abandonGeneration } from "./transactions/abandon-generation.ts";
import { activateGeneration } from "./transactions/activate-generation.ts";
import { announceExport } from "./transactions/announce-export.ts";
import { proposeGeneration } from "./transactions/propose-generation.ts";
import { putKeyExport } from "./transactions/put-key-export.ts";
import { putRecovery } from "./transactions/put-recovery.ts";
import * as queries from "./transactions/queries.ts";
import { registerCCKeys } from "./transactions/register-cc-keys.ts";
import { registerEnclave } from "./transactions/register-enclave.ts";
import { releaseShare } from "./transactions/release-share.ts";
import { revokeByStatement, revokeEnclave } from "./transactions/revoke-enclave.ts";
import { setPolicy } from "./transactions/set-policy.ts";
import { canEndorseQuery, queryState } from "./transactions/trusted-queries.ts";

/** What changes the ledger. */
const changes = {
  setPolicy,
  registerEnclave,
  registerCCKeys,
  announceExport,
  putKeyExport,
  proposeGeneration,
  activateGeneration,
  abandonGeneration,
  revokeEnclave,
  revokeByStatement,
  putRecovery,
  releaseShare,
} as const;

/** Every transaction of ERCC by its name. Upstream's have upstream's names. */
const transactions: Readonly<Record<string, Transaction>> = {
  ...changes,
  ...queries,
  queryState,
  canEndorse: canEndorseQuery,
};

export const transactionNames: readonly string[] = Object.keys(transactions);

/** Whether a transaction only reads, so that there is nothing in it to order. */
export function isQuery(transaction: string): boolean {
  return Object.hasOwn(transactions, transaction) && !Object.hasOwn(changes, transaction);
}

/**
 * ERCC, the registry of enclaves and their keys: within one transaction, over what the peer gives it. With the same state,
 * proposal and arguments it comes to the same result on every peer.
 */
export class Registry {
  readonly #state: RegistryState;
  readonly #evidence: EvidenceJudge;

  constructor(state: RegistryState, evidence: EvidenceJudge) {
    this.#state = state;
    this.#evidence = evidence;
  }

  /**
   * @param transaction - One of {@link transactionNames}.
   * @param args - Texts; messages are the base64 of their canonical protobuf.
   * @returns The transaction's answer, which may be empty.
   * @throws EnclaveError the reason why it is refused; nothing is written then
   */
  async call(transaction: string, args: readonly string[]): Promise<string> {
    const found = Object.hasOwn(transactions, transaction) ? transactions[transaction] : undefined;
    if (found === undefined) throw new EnclaveError("MALFORMED", "ERCC has no transaction of this name");
    checkArguments(transaction, found, args);
    // Its creator picks it; records keep it.
    const { timestampMs } = this.#state;
    if (!Number.isSafeInteger(timestampMs) || timestampMs < 0)
      throw new EnclaveError("MALFORMED", "the proposal's timestamp is no time since 1970");
    return await found.run({ state: this.#state, evidence: this.#evidence }, args);
  }
}
