import { EnclaveError } from "../errors.ts";
import type { ChaincodeGeneration } from "../protocol/chaincode-keys.ts";
import type { LedgerGeneration } from "./ledger-view.ts";
import type { OpenEnclave } from "./open-enclave.ts";

/**
 * Checks that a generation with this EK is one that the ledger knows by this number: the active one, or the one proposed.
 *
 * @throws EnclaveError EK_MISMATCH; REPLAY: an older generation; WRONG_CONTEXT: one that nobody proposed
 */
export async function checkLedgerKey({ ledger }: OpenEnclave, number: bigint, ek: Uint8Array): Promise<void> {
  const state = await ledger.keyState();
  if (state === undefined) throw new EnclaveError("WRONG_CONTEXT", "the ledger has no chaincode key yet");
  if (number < state.active)
    throw new EnclaveError("REPLAY", `generation ${number} is an older one: ${state.active} is active`, {
      hint: "have the active one exported to this enclave (strongroom fpc keys export), then import it",
    });
  if (number > state.active && number !== state.proposed)
    throw new EnclaveError("WRONG_CONTEXT", `the ledger knows of no generation ${number}`);
  const onLedger =
    number === state.active ? await ledger.chaincodeEk() : (await ledger.generation(number))?.chaincodeEk;
  if (onLedger === undefined || !Buffer.from(ek).equals(onLedger))
    throw new EnclaveError("EK_MISMATCH", `the ledger has another chaincode key for generation ${number}`);
}

/**
 * Checks that a generation's SEK is the one that the ledger has bound to its EK. A false enclave could give a wrong one beside
 * the right DK: what is written under it nobody else can read.
 *
 * @param onLedger - The ledger's record of this generation.
 * @throws EnclaveError NOT_FOUND: there is none; EK_MISMATCH
 */
export function checkStateKey(keys: ChaincodeGeneration, onLedger: LedgerGeneration | undefined): LedgerGeneration {
  if (onLedger === undefined)
    throw new EnclaveError("NOT_FOUND", `the ledger has no record of generation ${keys.number} of the keys`);
  if (!keys.stateKeyCommitment.equals(onLedger.stateKeyCommitment))
    throw new EnclaveError("EK_MISMATCH", `the ledger has another state key for generation ${keys.number}`);
  return onLedger;
}
