import { EnclaveError } from "../errors.ts";
import type { OpenEnclave } from "./open-enclave.ts";
import type { HeldGeneration } from "./sealed-state.ts";

/**
 * The generation that the ledger has as the active one, which this enclave has to hold: under it state is written.
 *
 * @throws EnclaveError NOT_PROVISIONED: it holds none, or an older one; EK_MISMATCH: its own was never the chaincode's;
 *   POLICY_DENIED: an enclave was revoked, and no generation that it does not know is active yet
 */
export async function activeGeneration(enclave: OpenEnclave): Promise<HeldGeneration> {
  // What the ledger has once been seen to list this enclave for, it does not have otherwise later: one question suffices then.
  const { registered } = enclave.newest();
  const [state, asked] = await Promise.all([
    enclave.ledger.keyState(),
    registered ? undefined : enclave.ledger.chaincodeEk(),
  ]);
  if (state === undefined)
    throw new EnclaveError("NOT_PROVISIONED", "the ledger has no chaincode key yet", {
      hint: "register this enclave's keys",
    });
  const held = enclave.generation(state.active);
  if (held === undefined)
    throw new EnclaveError("NOT_PROVISIONED", `this enclave does not hold generation ${state.active} of the keys`, {
      hint: "have it exported to this enclave and import it",
    });
  const ek = held.registered ? held.keys.ekPem : (asked ?? (await enclave.ledger.chaincodeEk()));
  if (ek === undefined || !held.keys.ekPem.equals(ek))
    throw new EnclaveError("EK_MISMATCH", `this enclave's generation ${state.active} is not the ledger's`, {
      hint: "discard the keys that were never registered, and import the chaincode's",
    });
  if (state.rotateAbove >= state.active)
    throw new EnclaveError("POLICY_DENIED", `generation ${state.active} is not used any more: an enclave was revoked`, {
      hint: "bring the next generation into force: strongroom fpc keys rotate",
    });
  return held;
}
