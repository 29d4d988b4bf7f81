import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import { asBytes, type BaseLevel } from "./base-level.ts";
import { LevelError } from "./errors.ts";
import type { Header } from "./header.ts";
import { EncryptedKeyNames } from "./key-names.ts";
import { checkValue } from "./keyring.ts";
import { headerOperation, type OpenStore } from "./open-store.ts";
import type { WriteGate } from "./write-gate.ts";

const maxGeneration = 0xffff_ffff;

/**
 * Makes `newDataKey` the store's current one: with all other writes out, the header that names both generations is
 * written and synced, and only then may anything be sealed under the new one.
 *
 * @param announce - Called with the new header before it is written, to replace the copy beside the database.
 * @throws {LevelError} `LEVEL_ROTATION_ACTIVE`.
 * @throws {RangeError} For the current data key, or after 2^32 - 1 generations.
 */
export async function beginRotation(
  open: OpenStore & { readonly base: BaseLevel; header: Header },
  gate: WriteGate,
  newDataKey: SecretBuffer,
  announce: (header: Header) => void,
): Promise<void> {
  await gate.alone(async () => {
    const { base, keyring, names } = open;
    const [mark, unfinished] = open.header.generations;
    if (unfinished !== undefined || mark === undefined) throw new LevelError("LEVEL_ROTATION_ACTIVE");
    if (keyring.holds(newDataKey)) throw new RangeError("the new data key is one that this store has had");
    if (mark.number >= maxGeneration) throw new RangeError("the store has had all the generations it can count");
    const number = mark.number + 1;
    const next = { number, checkValue: checkValue(keyring.suite, newDataKey, open.header.storeId, number) };
    const header = { ...open.header, generations: [mark, next], resealedEntries: 0, cursor: Buffer.alloc(0) };
    keyring.hold(number, newDataKey);
    try {
      announce(header);
      await base.batch([headerOperation(header, keyring)], { ...asBytes, sync: true });
    } catch (error) {
      keyring.drop(number);
      throw error;
    }
    if (names instanceof EncryptedKeyNames) names.olderGeneration = mark.number;
    keyring.makeCurrent(number);
    open.header = header;
  });
}
