import { EnclaveError } from "../errors.ts";
import type { SignedGenerationProposalMessage } from "../messages/generated/fpc/key_dist_pb.ts";
import { newGeneration } from "../protocol/chaincode-keys.ts";
import { signProposal } from "../protocol/generation.ts";
import { checkLedgerKey } from "./ledger-key.ts";
import type { OpenEnclave } from "./open-enclave.ts";
import type { HeldGeneration } from "./sealed-state.ts";

/**
 * The next generation of the keys, sealed and stored before anybody hears of it, with the active one wrapped under it. Called
 * again, it signs the proposal of the same keys again, unless that was abandoned: then it makes others.
 *
 * @throws EnclaveError NOT_PROVISIONED: it does not hold the active generation; EK_MISMATCH; CONFLICT: another enclave's
 *   proposal stands; STORE_FAILED
 */
export async function proposeGeneration(enclave: OpenEnclave): Promise<SignedGenerationProposalMessage> {
  enclave.newest();
  const state = await enclave.ledger.keyState();
  const previous = enclave.generation(state?.active ?? 1n);
  if (state === undefined || previous === undefined)
    throw new EnclaveError("NOT_PROVISIONED", "only an enclave that holds the active generation proposes the next");
  await checkLedgerKey(enclave, previous.keys.number, previous.keys.ekPem);

  const number = state.active + 1n;
  const onLedger = await enclave.ledger.generation(number);
  // Keys of a proposal that was abandoned went to enclaves that may be put out since: they are dropped for others.
  const pending = onLedger?.state === "abandoned" ? undefined : enclave.generation(number);
  if (state.proposed === number && !(onLedger && pending?.keys.ekPem.equals(onLedger.chaincodeEk)))
    throw new EnclaveError("CONFLICT", `another enclave has proposed generation ${number}`, {
      hint: "have that one exported to this enclave and import it",
    });
  const held = pending ?? (await made(enclave, number));
  const { read, signingKey } = enclave.identity;
  const signed = signProposal(
    {
      ccParamsHash: read.ccParamsHash,
      generation: held.keys,
      previous: previous.keys,
      proposerId: read.enclaveId.bytes,
    },
    signingKey,
  );
  enclave.parts.reached("signed");
  return signed;
}

async function made(enclave: OpenEnclave, number: bigint): Promise<HeldGeneration> {
  const held: HeldGeneration = { keys: await newGeneration(number), registered: false };
  enclave.parts.reached("generated");
  await enclave.keep([...enclave.generations.filter(({ keys }) => keys.number < number), held]);
  return held;
}
