import { EnclaveError } from "../errors.ts";
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
    throw new EnclaveError("REPLAY", `generation ${number} is an older one: ${state.active} is active`);
  if (number > state.active && number !== state.proposed)
    throw new EnclaveError("WRONG_CONTEXT", `the ledger knows of no generation ${number}`);
  const onLedger =
    number === state.active ? await ledger.chaincodeEk() : (await ledger.generation(number))?.chaincodeEk;
  if (onLedger === undefined || !Buffer.from(ek).equals(onLedger))
    throw new EnclaveError("EK_MISMATCH", `the ledger has another chaincode key for generation ${number}`);
}
