import { EnclaveError } from "../errors.ts";
import type { OpenEnclave } from "./open-enclave.ts";
import type { HeldGeneration } from "./sealed-state.ts";

/**
 * For the loser of a race: drops keys that can never become the chaincode's, because the ledger has others of their number
 * (decision 0608). What could still be registered, or ever was, stays.
 *
 * @returns The numbers that were dropped
 * @throws EnclaveError NOT_PROVISIONED: there are none; KEYS_EXIST: none of them is lost; STORE_FAILED
 */
export async function discardNeverRegisteredKeys(enclave: OpenEnclave): Promise<readonly bigint[]> {
  enclave.newest();
  const provisioned = await enclave.ledger.provisioned(enclave.identity.read.enclaveId.text);
  const lost: HeldGeneration[] = [];
  // Newest first: what is under a generation that stays has to stay.
  for (const held of enclave.generations.toReversed()) {
    if (held.registered || (provisioned?.generation ?? 0n) >= held.keys.number) break;
    if (!(await isLost(enclave, held))) break;
    lost.unshift(held);
  }
  if (lost.length === 0)
    throw new EnclaveError("KEYS_EXIST", "the enclave's keys are the chaincode's, or may still become it", {
      hint: "register them (strongroom fpc keys generate), or wait until the chaincode has keys",
    });
  await enclave.keep(enclave.generations.filter((held) => !lost.includes(held)));
  return lost.map(({ keys }) => keys.number);
}

async function isLost({ ledger }: OpenEnclave, { keys }: HeldGeneration): Promise<boolean> {
  const onLedger = await ledger.generation(keys.number);
  if (onLedger === undefined) return false;
  return onLedger.state === "abandoned" || !onLedger.chaincodeEk.equals(keys.ekPem);
}
