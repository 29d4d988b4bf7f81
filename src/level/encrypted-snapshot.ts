import { AbstractSnapshot } from "abstract-level";

const inner = new WeakMap<AbstractSnapshot, AbstractSnapshot>();

/** A snapshot of an encrypted level: it holds one of the base. */
export class EncryptedSnapshot extends AbstractSnapshot {
  /** @param options - abstract-level's own: the database that closes this snapshot. */
  constructor(base: AbstractSnapshot, options: unknown) {
    // The type declarations of abstract-level leave the constructor's options out.
    super(...([options] as unknown as []));
    inner.set(this, base);
  }

  async _close(): Promise<void> {
    await inner.get(this)?.close();
  }
}

/** The base's snapshot within, for the base's read options; undefined when none was asked for. */
export function baseSnapshot(snapshot: AbstractSnapshot | undefined): AbstractSnapshot | undefined {
  return snapshot === undefined || snapshot === null ? undefined : inner.get(snapshot);
}
