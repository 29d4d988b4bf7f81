import { EnclaveError } from "../errors.ts";
import { LedgerSeenSchema } from "../messages/generated/fpc/sealed_pb.ts";
import { encode } from "../messages/strict.ts";
import type { EnclaveIdentity } from "./identity.ts";
import type { LedgerView } from "./ledger-view.ts";
import type { EnclaveParts } from "./parts.ts";
import { disposeState, type EnclaveState, type HeldGeneration, sealState } from "./sealed-state.ts";

/** An enclave whose keys are in memory. Every change of what it holds is durable at the host before it counts. */
export class OpenEnclave implements Disposable {
  readonly parts: EnclaveParts;
  readonly ledger: LedgerView;
  #state: EnclaveState;
  /** Of the last blob that was made, whether the host kept it or not: no number stands for two blobs. */
  #lastNumber: bigint;

  /** Becomes the owner of the state's keys. */
  constructor(parts: EnclaveParts, ledger: LedgerView, state: EnclaveState) {
    this.parts = parts;
    this.ledger = ledger;
    this.#state = state;
    this.#lastNumber = state.blobNumber;
  }

  get identity(): EnclaveIdentity {
    return this.#state.identity;
  }

  get generations(): readonly HeldGeneration[] {
    return this.#state.generations;
  }

  get blobNumber(): bigint {
    return this.#state.blobNumber;
  }

  generation(number: bigint): HeldGeneration | undefined {
    return this.generations.find(({ keys }) => keys.number === number);
  }

  /** @throws EnclaveError NOT_PROVISIONED: there is none */
  newest(): HeldGeneration {
    const newest = this.generations.at(-1);
    if (newest === undefined)
      throw new EnclaveError("NOT_PROVISIONED", "this enclave holds no chaincode keys", {
        hint: "import them, or generate them where the chaincode has none",
      });
    return newest;
  }

  /**
   * Holds exactly these generations from now on. New ones become the enclave's own; those that are left out are wiped. Where
   * the host could not keep the blob, all is as before and the new ones are wiped.
   *
   * @throws EnclaveError STORE_FAILED, or what the backend failed with
   */
  async keep(generations: readonly HeldGeneration[]): Promise<void> {
    const before = this.#state;
    try {
      await this.#store({ generations });
    } catch (error) {
      wipeAllBut(before.generations, generations);
      throw error;
    }
    wipeAllBut(generations, before.generations);
  }

  /**
   * Is this identity from now on, which has the same keys; it becomes the enclave's own, and the one before is wiped. Where the
   * host could not keep the blob, all is as before and the new one is wiped.
   *
   * @throws EnclaveError STORE_FAILED, or what the backend failed with
   */
  async become(identity: EnclaveIdentity): Promise<void> {
    const before = this.#state.identity;
    try {
      await this.#store({ identity });
    } catch (error) {
      identity[Symbol.dispose]();
      throw error;
    }
    before[Symbol.dispose]();
  }

  /**
   * Seals what has been seen of the ledger, where that is more than is sealed: whatever this enclave does because of it, it
   * knows of it after its next start as well.
   *
   * @throws EnclaveError STORE_FAILED, or what the backend failed with
   */
  async keepSeen(): Promise<void> {
    const [sealed, seen] = [this.#state.seen, this.ledger.seen].map((one) => encode(LedgerSeenSchema, one));
    if (sealed !== undefined && seen !== undefined && !sealed.equals(seen)) await this.#store({});
  }

  async #store(change: Partial<Pick<EnclaveState, "generations" | "identity">>): Promise<void> {
    this.#lastNumber += 1n;
    const after: EnclaveState = { ...this.#state, ...change, blobNumber: this.#lastNumber, seen: this.ledger.seen };
    const blob = await sealState(this.parts.backend, after);
    this.parts.reached("sealed");
    await this.parts.host.storeBlob(blob);
    this.parts.reached("stored");
    this.#state = after;
  }

  [Symbol.dispose](): void {
    disposeState(this.#state);
  }
}

function wipeAllBut(kept: readonly HeldGeneration[], generations: readonly HeldGeneration[]): void {
  const keys = new Set(kept.map((one) => one.keys));
  for (const one of generations) if (!keys.has(one.keys)) one.keys[Symbol.dispose]();
}
