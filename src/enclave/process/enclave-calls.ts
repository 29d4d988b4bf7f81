import { EnclaveError } from "../errors.ts";
import { CredentialsSchema } from "../messages/generated/fpc/fpc_pb.ts";
import {
  SignedCCKeyRegistrationMessageSchema,
  SignedExportMessageSchema,
  SignedGenerationProposalMessageSchema,
  SignedRecoveryMessageSchema,
} from "../messages/generated/fpc/key_dist_pb.ts";
import { encode } from "../messages/strict.ts";
import { attestAgain } from "./attest-again.ts";
import { discardNeverRegisteredKeys } from "./discard.ts";
import { exportKeys } from "./export-keys.ts";
import { generateKeys, reEmitRegistration } from "./generate.ts";
import { importKeys } from "./import-keys.ts";
import type { OpenEnclave } from "./open-enclave.ts";
import type { PolicyInForce } from "./policy-in-force.ts";
import { proposeGeneration } from "./propose.ts";
import { checkRecoveryShares, issueRecoveryShares, recoverKeys } from "./recover.ts";
import { compareWithLedger } from "./rollback.ts";

export interface CallContext {
  readonly enclave: OpenEnclave;
  readonly policy: PolicyInForce;
}

type EnclaveCall = (context: CallContext, parts: readonly Buffer[]) => Promise<readonly Uint8Array[]>;

/** The calls that an open enclave takes (ecalls of the document), one at a time. Each answer is the bytes of its message. */
export const enclaveCalls: Readonly<Record<string, EnclaveCall>> = {
  /**
   * For a newer quote, or the credentials that the host lost; not as of creation. Parts: the sequence of the definition to be
   * of from now on, or nothing for the one that it is of.
   */
  attest: async ({ enclave, policy }, [sequence]) => [
    encode(CredentialsSchema, await attestAgain(enclave, policy, readNumber(sequence))),
  ],
  generateCCKeys: async ({ enclave }) => [encode(SignedCCKeyRegistrationMessageSchema, await generateKeys(enclave))],
  /** Parts: the generation's number, or nothing for the newest. */
  reEmitRegistration: async ({ enclave }, [number]) => [
    encode(SignedCCKeyRegistrationMessageSchema, reEmitRegistration(enclave, readNumber(number))),
  ],
  /** Answers with the numbers that were dropped. */
  discardNeverRegisteredKeys: async ({ enclave }) => {
    const numbers = await discardNeverRegisteredKeys(enclave);
    return numbers.map((number) => Buffer.from(String(number)));
  },
  /** Parts: the receiver's credentials; the generation's number, or nothing for the active one. */
  exportCCKeys: async ({ enclave, policy }, [credentials, number]) => {
    const signed = await exportKeys(enclave, policy, needed(credentials), readNumber(number));
    return [encode(SignedExportMessageSchema, signed)];
  },
  /** Parts: the export. Also for a generation that follows those that are held. */
  importCCKeys: async ({ enclave, policy }, [signedExport]) => [
    encode(SignedCCKeyRegistrationMessageSchema, await importKeys(enclave, policy, needed(signedExport))),
  ],
  proposeGeneration: async ({ enclave }) => [
    encode(SignedGenerationProposalMessageSchema, await proposeGeneration(enclave)),
  ],
  issueRecovery: async ({ enclave, policy }) => [
    encode(SignedRecoveryMessageSchema, await issueRecoveryShares(enclave, policy)),
  ],
  /** Parts: the issue's number. Answers with the hash of what was verified. */
  checkRecovery: async ({ enclave }, [number]) => [await checkRecoveryShares(enclave, needed(readNumber(number)))],
  /** The shares come off the ledger. */
  recover: async ({ enclave, policy }) => [
    encode(SignedCCKeyRegistrationMessageSchema, await recoverKeys(enclave, policy)),
  ],
  /** Has the enclave see, and seal, what the ledger lists it for. */
  compare: async ({ enclave }) => {
    await compareWithLedger(enclave);
    return [];
  },
};

function needed<T>(part: T | undefined): T {
  if (part === undefined) throw new EnclaveError("MALFORMED", "an argument of the call is missing");
  return part;
}

function readNumber(part: Buffer | undefined): bigint | undefined {
  const text = part?.toString("latin1");
  if (text === undefined || text === "") return undefined;
  if (!/^[1-9][0-9]{0,9}$/.test(text))
    throw new EnclaveError("MALFORMED", "a generation, sequence or issue is not a number from 1");
  return BigInt(text);
}
