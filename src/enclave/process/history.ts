import { EnclaveError } from "../errors.ts";
import type { ChaincodeGeneration } from "../protocol/chaincode-keys.ts";
import { openPrevious } from "../protocol/generation.ts";
import { checkStateKey } from "./ledger-key.ts";
import type { OpenEnclave } from "./open-enclave.ts";
import type { HeldGeneration } from "./sealed-state.ts";

/**
 * What the enclave holds once `newest` is added: each generation before it comes off the ledger, wrapped under the one after
 * it, down to one that is held already, or to the first. The SEK of each has to be the one that the ledger is bound to. `newest` and all that was opened are wiped where this throws.
 *
 * @throws EnclaveError NOT_FOUND: the ledger lacks a generation; EK_MISMATCH: what is held, or a SEK, is not the chaincode's; BAD_CIPHERTEXT
 */
export async function withHistory(
  enclave: OpenEnclave,
  newest: ChaincodeGeneration,
): Promise<readonly HeldGeneration[]> {
  const opened: ChaincodeGeneration[] = [newest];
  try {
    for (let oldest = newest; ; ) {
      const { proposal } = checkStateKey(oldest, await enclave.ledger.generation(oldest.number));
      if (oldest.number === 1n) break;
      const before = enclave.generation(oldest.number - 1n);
      if (proposal === undefined)
        throw new EnclaveError("NOT_FOUND", `the ledger has no proposal of generation ${oldest.number} of the keys`);
      const previous = openPrevious(oldest, proposal);
      if (before !== undefined) {
        const isSame =
          before.keys.ekPem.equals(previous.ekPem) &&
          before.keys.stateKeyCommitment.equals(previous.stateKeyCommitment);
        previous[Symbol.dispose]();
        if (isSame) break;
        throw new EnclaveError("EK_MISMATCH", `the generation ${previous.number} that is held is not the chaincode's`, {
          hint: "discard the keys that were never registered",
        });
      }
      opened.unshift(previous);
      oldest = previous;
    }
  } catch (error) {
    for (const generation of opened) generation[Symbol.dispose]();
    throw error;
  }
  return [...enclave.generations, ...opened.map((keys) => ({ keys, registered: false }))];
}
