import { EnclaveError } from "../errors.ts";
import { type TeeKind, teeKinds } from "../tee/backend.ts";

/** What an enclave says of itself to its host. */
export interface EnclaveStatus {
  readonly tee: TeeKind;
  /** Whether the host's root is kept out of its memory. */
  readonly protectsFromRoot: boolean;
  /** 64 upper-case hex digits: the chaincode's version. */
  readonly measurement: string;
  /** Undefined before the enclave is created. */
  readonly enclave: OpenedStatus | undefined;
}

export interface OpenedStatus {
  /** Upper-case hexadecimal. */
  readonly id: string;
  readonly blobNumber: number;
  /** Oldest first. */
  readonly generations: readonly GenerationStatus[];
}

export interface GenerationStatus {
  readonly number: number;
  /** SHA-256 of the EK's PEM, upper-case hexadecimal. */
  readonly ekHash: string;
  /** The enclave has seen on the ledger that it is listed as its holder. */
  readonly registered: boolean;
}

/** @throws EnclaveError ENCLAVE_ENDED: not what an enclave says */
export function readStatus(bytes: Buffer): EnclaveStatus {
  try {
    const value = JSON.parse(bytes.toString()) as EnclaveStatus;
    const { tee, protectsFromRoot, measurement, enclave } = value;
    if (teeKinds.includes(tee) && typeof protectsFromRoot === "boolean" && /^[0-9A-F]{64}$/.test(measurement))
      return { tee, protectsFromRoot, measurement, enclave: enclave && readOpened(enclave) };
  } catch {
    // Said below.
  }
  throw new EnclaveError("ENCLAVE_ENDED", "the enclave's status is not of its form");
}

function readOpened({ id, blobNumber, generations }: OpenedStatus): OpenedStatus {
  if (!/^[0-9A-F]{64}$/.test(id) || !Number.isSafeInteger(blobNumber)) throw new TypeError("not a status");
  return {
    id,
    blobNumber,
    generations: generations.map(({ number, ekHash, registered }) => {
      const isRight = Number.isSafeInteger(number) && /^[0-9A-F]{64}$/.test(ekHash) && typeof registered === "boolean";
      if (!isRight) throw new TypeError("not a status");
      return { number, ekHash, registered };
    }),
  };
}
