import { EnclaveError } from "../errors.ts";
import type { CCKeyRegistrationMessage } from "../messages/generated/fpc/key_dist_pb.ts";
import type { OpenEnclave } from "./open-enclave.ts";

/**
 * Lays what was unsealed beside what the ledger says of this enclave (decision 0611). A seal cannot tell an older blob from the
 * newest; the ledger can, of all that matters: keys that this enclave registered must be in it, and what the blob has seen on
 * the ledger must still be there.
 *
 * @throws EnclaveError UNSEAL_FAILED: an older blob; REPLAY: an older ledger; what the trusted ledger throws
 */
export async function compareWithLedger(enclave: OpenEnclave): Promise<void> {
  const { ledger, generations } = enclave;
  const id = enclave.identity.read.enclaveId.text;
  const [provisioned, state] = await Promise.all([ledger.provisioned(id), ledger.keyState()]);
  const confirmed = state && state.proposed > 0n ? await ledger.confirmed(state.proposed, id) : undefined;
  for (const registration of [provisioned, confirmed]) if (registration !== undefined) checkHeld(enclave, registration);

  const lastSeen = generations.findLast(({ registered }) => registered);
  if (lastSeen !== undefined && (provisioned === undefined || provisioned.generation < lastSeen.keys.number))
    throw new EnclaveError(
      "REPLAY",
      `the ledger does not know that this enclave holds generation ${lastSeen.keys.number}, and did when it was sealed`,
    );
  await noteRegistered(enclave, provisioned);
}

/** Seals what the ledger has been seen to say, so that no older ledger is believed after it. */
export async function noteRegistered(
  enclave: OpenEnclave,
  provisioned: CCKeyRegistrationMessage | undefined,
): Promise<void> {
  if (provisioned === undefined) return;
  const isNew = ({ keys, registered }: (typeof enclave.generations)[number]) =>
    !registered && keys.number <= provisioned.generation;
  if (!enclave.generations.some(isNew)) return;
  checkHeld(enclave, provisioned);
  await enclave.keep(enclave.generations.map((one) => (isNew(one) ? { ...one, registered: true } : one)));
}

function checkHeld(enclave: OpenEnclave, { generation, chaincodeEk }: CCKeyRegistrationMessage): void {
  const held = enclave.generation(generation);
  if (held?.keys.ekPem.equals(chaincodeEk)) return;
  throw new EnclaveError(
    "UNSEAL_FAILED",
    `the ledger has generation ${generation} of the keys as held by this enclave, and the sealed blob lacks it: it is an older one`,
    { hint: "put the newest sealed blob in its place, or create another enclave" },
  );
}
