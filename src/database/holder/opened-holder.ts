import type { KeyHolder } from "../../volume/key-holder.ts";
import { DatabaseError } from "../errors.ts";
import type { SubKeyOpener } from "../gm/sub-key-envelope.ts";

/** The master key of a database, with its private half; to be disposed of when the volume is closed. */
export interface OpenedKeyHolder extends KeyHolder, AsyncDisposable {
  /**
   * @returns The caller disposes of it.
   * @throws {DatabaseError} `ENVELOPE_REFUSED` when the envelope does not open.
   * @throws {DeviceError} What a card fails with.
   */
  readonly unwrap: NonNullable<KeyHolder["unwrap"]>;
}

/** A key holder over whatever opens envelopes; becomes its owner. */
export function holderOver(opener: SubKeyOpener): OpenedKeyHolder {
  return {
    publicKey: opener.publicKey,
    async unwrap(envelope) {
      const subKey = await opener.open(envelope);
      if (subKey === undefined) throw new DatabaseError("ENVELOPE_REFUSED");
      return subKey;
    },
    [Symbol.asyncDispose]: () => opener[Symbol.asyncDispose](),
  };
}

/** An opener over a key holder, which stays its owner's. */
export function openerOver({ publicKey, unwrap }: OpenedKeyHolder): SubKeyOpener {
  return {
    publicKey,
    async open(envelope) {
      try {
        return await unwrap(envelope, publicKey);
      } catch (error) {
        if (error instanceof DatabaseError && error.code === "ENVELOPE_REFUSED") return undefined;
        throw error;
      }
    },
    async [Symbol.asyncDispose]() {},
  };
}
