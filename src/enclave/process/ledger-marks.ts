import { create } from "@bufbuild/protobuf";
import { EnclaveError } from "../errors.ts";
import type { ChaincodeKeyState } from "../messages/generated/fpc/ercc_pb.ts";
import { type LedgerSeen, LedgerSeenSchema } from "../messages/generated/fpc/sealed_pb.ts";
import type { SeenLedger } from "../trusted-ledger/trusted-ledger.ts";

/**
 * How far the ledger was: what only ever rises on it. Sealed with the keys, so that after a restart as well no older ledger is
 * believed (decision 0627).
 */
export class LedgerMarks {
  #policyNumber: bigint;
  #active: bigint;
  #rotateAbove: bigint;

  /** @param seen - As it was sealed. */
  constructor({ policyNumber, activeGeneration, rotateAbove }: LedgerSeen) {
    this.#policyNumber = policyNumber;
    this.#active = activeGeneration;
    this.#rotateAbove = rotateAbove;
  }

  /** @throws EnclaveError REPLAY: there was a later one, or one where there is none now */
  noteKeyState(state: ChaincodeKeyState | undefined): void {
    const { active, rotateAbove } = state ?? { active: 0n, rotateAbove: 0n };
    if (active < this.#active || rotateAbove < this.#rotateAbove)
      throw new EnclaveError(
        "REPLAY",
        `the ledger has generation ${active} as the active one, stopped up to ${rotateAbove}; it had ${this.#active}, stopped up to ${this.#rotateAbove}`,
      );
    this.#active = active;
    this.#rotateAbove = rotateAbove;
  }

  /** @param number - Of a policy whose line is verified, or of one that claims to be in force. @throws EnclaveError REPLAY */
  checkPolicy(number: bigint): void {
    if (number < this.#policyNumber)
      throw new EnclaveError("REPLAY", `the ledger answers with policy ${number}, and had ${this.#policyNumber}`);
  }

  /** @param number - Of the policy in force, verified. */
  notePolicy(number: bigint): void {
    this.checkPolicy(number);
    this.#policyNumber = number;
  }

  /** To be sealed. */
  toMessage({ block, records }: SeenLedger): LedgerSeen {
    return create(LedgerSeenSchema, {
      block,
      records: records.map(({ key, ...version }) => ({ key: Buffer.from(key), ...version })),
      policyNumber: this.#policyNumber,
      activeGeneration: this.#active,
      rotateAbove: this.#rotateAbove,
    });
  }
}

/** What a trusted ledger is to be opened with. */
export function seenOf({ block, records }: LedgerSeen): SeenLedger {
  return {
    block,
    records: records.map(({ key, block, transaction }) => ({ key: Buffer.from(key).toString(), block, transaction })),
  };
}
