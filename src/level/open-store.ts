import { kernelRandomBytes } from "../crypto/kernel-random.ts";
import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import { type SuiteName, suites } from "../crypto/suite.ts";
import { asBytes, type BaseLevel, type BaseOperation } from "./base-level.ts";
import { LevelError } from "./errors.ts";
import { checkHeaderTag, encodeHeader, type Header, headerKey, type ParsedHeader, parseHeader } from "./header.ts";
import { EncryptedKeyNames, type KeyNames, plainKeyNames } from "./key-names.ts";
import { checkValue, Keyring, keyOfCheckValue, storeIdBytes } from "./keyring.ts";
import type { ValueCipherProvider } from "./value-cipher.ts";

export interface StoreSettings {
  /** Undefined: as the header records, `intl` for a new store. */
  readonly suite: SuiteName | undefined;
  /** Undefined: as the header records, false for a new store. */
  readonly encryptKeyNames: boolean | undefined;
  readonly createIfMissing: boolean;
  /** What a new store is sealed under. */
  readonly firstDataKey: SecretBuffer | undefined;
  readonly provider: ValueCipherProvider;
}

export interface OpenStore {
  readonly header: Header;
  readonly keyring: Keyring;
  readonly names: KeyNames;
}

/**
 * Reads and checks the header of an open base, or writes the first one into an empty base. Nothing else is read or
 * written before the data key has been found right.
 *
 * @throws {LevelError} `LEVEL_WRONG_KEY`, `LEVEL_KEY_MISSING`, `LEVEL_PLAIN_DATABASE`, `LEVEL_SETTING_MISMATCH`,
 *   `LEVEL_CORRUPTION`.
 */
export async function openStore(
  base: BaseLevel,
  settings: StoreSettings,
  dataKeys: readonly SecretBuffer[],
): Promise<OpenStore> {
  const record = await base.get(headerKey, asBytes);
  if (record === undefined) return createStore(base, settings);
  const parsed = parseHeader(record);
  const { header } = parsed;
  requireSame("suite", settings.suite, header.suite.name);
  requireSame("encryptKeyNames", settings.encryptKeyNames, header.encryptKeyNames);
  const held = matchDataKeys(parsed, dataKeys);
  const keyring = new Keyring(header.suite, header.storeId, settings.provider);
  try {
    for (const [index, mark] of header.generations.entries()) {
      const key = held[index];
      if (key === undefined)
        throw new LevelError(
          "LEVEL_KEY_MISSING",
          `a data-key rotation is unfinished: the data key of generation ${mark.number} is needed as well`,
        );
      keyring.hold(mark.number, key);
      keyring.makeCurrent(mark.number);
    }
  } catch (error) {
    keyring[Symbol.dispose]();
    throw error;
  }
  return { header, keyring, names: keyNamesOf(header, keyring) };
}

/**
 * The given data key of each generation, where there is one, its tag over the header checked.
 *
 * @throws {LevelError} `LEVEL_WRONG_KEY` when none of the keys is one of the header's; `LEVEL_CORRUPTION`.
 */
export function matchDataKeys(parsed: ParsedHeader, dataKeys: readonly SecretBuffer[]): (SecretBuffer | undefined)[] {
  const { suite, storeId, generations } = parsed.header;
  const held = generations.map((mark) => keyOfCheckValue(suite, dataKeys, storeId, mark.number, mark.checkValue));
  if (held.every((key) => key === undefined))
    throw new LevelError(
      "LEVEL_WRONG_KEY",
      "the data key is not the one this store is sealed under; nothing was changed",
    );
  const unused = new Keyring(suite, storeId, noProvider);
  try {
    for (const [index, key] of held.entries()) {
      const number = generations[index]?.number ?? 0;
      if (key === undefined) continue;
      unused.hold(number, key);
      using tagKey = unused.derive(number, "header", 32);
      checkHeaderTag(parsed, index, tagKey);
    }
  } finally {
    unused[Symbol.dispose]();
  }
  return held;
}

/** A header of one or two generations, as the record's bytes. Every generation's data key must be held. */
export function sealHeader(header: Header, keyring: Keyring): Buffer {
  const keys = header.generations.map((mark) => keyring.derive(mark.number, "header", 32));
  try {
    return encodeHeader(header, keys);
  } finally {
    for (const key of keys) key[Symbol.dispose]();
  }
}

/** The write that puts a header in place, to go into the same batch as what it tells of. */
export function headerOperation(header: Header, keyring: Keyring): BaseOperation {
  return { type: "put", key: headerKey, value: sealHeader(header, keyring) };
}

async function createStore(base: BaseLevel, settings: StoreSettings): Promise<OpenStore> {
  const iterator = base.iterator({ ...asBytes, values: false, limit: 1 });
  const found = await iterator.nextv(1);
  await iterator.close();
  if (found.length > 0)
    throw new LevelError(
      "LEVEL_PLAIN_DATABASE",
      "the database holds entries but no header; copy them into a new encrypted level instead",
    );
  if (!settings.createIfMissing)
    throw new LevelError("LEVEL_PLAIN_DATABASE", "the encrypted level does not exist (createIfMissing is false)");
  const dataKey = settings.firstDataKey;
  if (dataKey === undefined || dataKey.disposed)
    throw new LevelError("LEVEL_KEY_MISSING", "the data key was wiped before the store was created");
  const suite = suites[settings.suite ?? "intl"];
  const storeId = kernelRandomBytes(storeIdBytes);
  const header: Header = {
    suite,
    encryptKeyNames: settings.encryptKeyNames ?? false,
    storeId,
    generations: [{ number: 1, checkValue: checkValue(suite, dataKey, storeId, 1) }],
    resealedEntries: 0,
    cursor: Buffer.alloc(0),
  };
  const keyring = new Keyring(suite, storeId, settings.provider);
  keyring.hold(1, dataKey);
  keyring.makeCurrent(1);
  await base.batch([headerOperation(header, keyring)], { ...asBytes, sync: true });
  return { header, keyring, names: keyNamesOf(header, keyring) };
}

function keyNamesOf(header: Header, keyring: Keyring): KeyNames {
  if (!header.encryptKeyNames) return plainKeyNames;
  const names = new EncryptedKeyNames(keyring);
  const [older, newer] = header.generations;
  if (newer !== undefined) names.olderGeneration = older?.number;
  return names;
}

function requireSame(setting: string, asked: string | boolean | undefined, recorded: string | boolean): void {
  if (asked !== undefined && asked !== recorded)
    throw new LevelError(
      "LEVEL_SETTING_MISMATCH",
      `${setting} is ${recorded} in the store's header, but ${asked} was asked for`,
    );
}

const noProvider: ValueCipherProvider = {
  name: "none",
  create: () => {
    throw new Error("no values are sealed while a header is checked");
  },
};
