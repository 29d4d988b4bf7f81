import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { DatabaseError } from "../errors.ts";
import type { OpenedKeyHolder } from "./opened-holder.ts";

/**
 * The key holder of a running instance. While the master key is being changed it opens envelopes to the former key and to the
 * next one, so that neither reads nor writes wait for the change.
 */
export class ChangeableKeyHolder implements OpenedKeyHolder {
  #current: OpenedKeyHolder;
  /** The other key of a change: the next one, and once that is in force the former. */
  #next: OpenedKeyHolder | undefined;
  #isInForce = false;

  /** Becomes the owner of `current`. */
  constructor(current: OpenedKeyHolder) {
    this.#current = current;
  }

  /** Of the key in force. */
  get publicKey(): Buffer {
    return this.#current.publicKey;
  }

  /** @param publicKey - For whom the envelope was made. Left out: the key in force. */
  readonly unwrap = async (envelope: Buffer, publicKey = this.publicKey): Promise<SecretBuffer> => {
    const holder = [this.#current, this.#next].find((each) => each?.publicKey.equals(publicKey));
    if (holder === undefined)
      throw new DatabaseError("MASTER_KEY_MISMATCH", "the envelope is for a master key that is not opened here");
    return await holder.unwrap(envelope, publicKey);
  };

  /** Envelopes to this key are opened as well from now on. Becomes its owner. */
  async expect(next: OpenedKeyHolder): Promise<void> {
    const before = this.#next;
    this.#next = next;
    this.#isInForce = false;
    await before?.[Symbol.asyncDispose]();
  }

  /** The key expected is the one in force from now on, for whoever opens the volume anew; the former is opened as well until {@link settle}. */
  putInForce(): void {
    if (this.#next === undefined || this.#isInForce) return;
    [this.#current, this.#next] = [this.#next, this.#current];
    this.#isInForce = true;
  }

  /** Ends the change: the key expected is the one in force, or (`kept`) is given up. */
  async settle(outcome: "changed" | "kept"): Promise<void> {
    if (outcome === "changed") this.putInForce();
    const gone = this.#next;
    this.#next = undefined;
    this.#isInForce = false;
    await gone?.[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.settle("kept");
    await this.#current[Symbol.asyncDispose]();
  }
}
