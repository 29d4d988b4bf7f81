import { EnclaveError } from "../errors.ts";
import type { SignedCCKeyRegistrationMessage } from "../messages/generated/fpc/key_dist_pb.ts";
import { newGeneration } from "../protocol/chaincode-keys.ts";
import { signRegistration } from "../protocol/registration.ts";
import type { OpenEnclave } from "./open-enclave.ts";
import type { HeldGeneration } from "./sealed-state.ts";

/**
 * Steps 4 to 9 of the document: the first generation of the chaincode's keys, sealed and stored before the message exists.
 * That it is the first, the ledger decides when it is registered.
 *
 * @throws EnclaveError KEYS_EXIST, STORE_FAILED
 */
export async function generateKeys(enclave: OpenEnclave): Promise<SignedCCKeyRegistrationMessage> {
  if (enclave.generations.length > 0)
    throw new EnclaveError("KEYS_EXIST", "this enclave holds chaincode keys already", {
      hint: "re-emit their registration, or discard them if the ledger has others",
    });
  const held: HeldGeneration = { keys: await newGeneration(1n), registered: false };
  enclave.parts.reached("generated");
  await enclave.keep([held]);
  return registrationOf(enclave, held);
}

/**
 * The registration of a generation once more, for one that was lost on its way.
 *
 * @param number - Left out: the newest.
 * @throws EnclaveError NOT_PROVISIONED: the enclave does not hold it
 */
export function reEmitRegistration(enclave: OpenEnclave, number?: bigint): SignedCCKeyRegistrationMessage {
  const newest = enclave.newest();
  const held = number === undefined ? newest : enclave.generation(number);
  if (held === undefined)
    throw new EnclaveError("NOT_PROVISIONED", `this enclave does not hold generation ${number} of the keys`);
  return registrationOf(enclave, held);
}

/** Step 8, or 27 after an import: the enclave says by its own key that it holds the generation. */
export function registrationOf(enclave: OpenEnclave, { keys }: HeldGeneration): SignedCCKeyRegistrationMessage {
  const { read, signingKey } = enclave.identity;
  const signed = signRegistration(
    {
      ccParamsHash: read.ccParamsHash,
      chaincodeEk: keys.ekPem,
      enclaveId: read.enclaveId.bytes,
      generation: keys.number,
      stateKeyCommitment: keys.stateKeyCommitment,
    },
    signingKey,
  );
  enclave.parts.reached("signed");
  return signed;
}
