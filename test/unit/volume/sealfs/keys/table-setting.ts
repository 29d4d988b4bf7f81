import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { generateKeyPair } from "../../../../../src/crypto/curve.ts";
import { SecretBuffer } from "../../../../../src/crypto/secret-buffer.ts";
import { type Suite, suites } from "../../../../../src/crypto/suite.ts";
import type { KeyTable } from "../../../../../src/volume/sealfs/keys/key-table.ts";
import type { KeyWrapper } from "../../../../../src/volume/sealfs/keys/key-wrapper.ts";
import {
  type CreateTableOptions,
  createKeyTable,
  type OpenTableOptions,
  openKeyTable,
  type TablePlace,
} from "../../../../../src/volume/sealfs/keys/open-table.ts";
import { Sm2Wrapper, softSm2Opener } from "../../../../../src/volume/sealfs/keys/sm2-wrapper.ts";
import type { TableSystem } from "../../../../../src/volume/sealfs/keys/table-system.ts";

export const volumeId: Buffer = Buffer.from("000102030405060708090a0b0c0d0e0f", "hex");
export const nowMs = 1_790_000_000_000;

/** A folder that goes with the test. */
export function testFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "strongroom-keys-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A table key that is the same each time. */
export function tableKey(fill = 7): SecretBuffer {
  return SecretBuffer.take(Buffer.alloc(32, fill));
}

export interface SettingOptions {
  readonly suite?: Suite;
  readonly key?: SecretBuffer;
  readonly system?: TableSystem;
  readonly wrapper?: () => KeyWrapper;
}

/** One place for a table, opened and made again and again; whatever is open at the end of the test is closed. */
export class TableSetting {
  readonly folder: string;
  readonly #t: TestContext;
  readonly #options: SettingOptions;

  constructor(t: TestContext, options: SettingOptions = {}) {
    this.#t = t;
    this.#options = options;
    this.folder = testFolder(t);
  }

  place(change: Partial<TablePlace> = {}): TablePlace {
    const { suite = suites.intl, key = tableKey(), system, wrapper } = this.#options;
    return {
      folder: this.folder,
      volumeId,
      suite,
      tableKey: key,
      nowMs: () => nowMs,
      ...(system === undefined ? {} : { system }),
      ...(wrapper === undefined ? {} : { wrapper: wrapper() }),
      ...change,
    };
  }

  async create(options: CreateTableOptions = {}, change: Partial<TablePlace> = {}): Promise<KeyTable> {
    return this.#keep(await createKeyTable(this.place(change), options));
  }

  async open(options: OpenTableOptions = {}, change: Partial<TablePlace> = {}): Promise<KeyTable> {
    return this.#keep(await openKeyTable(this.place(change), options));
  }

  #keep(table: KeyTable): KeyTable {
    this.#t.after(() => table.close());
    return table;
  }
}

/** An SM2 master key of a test. */
export class MasterKey {
  readonly publicKey: Buffer;
  readonly #scalar: SecretBuffer;

  constructor() {
    const { scalar, publicKey } = generateKeyPair("sm2");
    this.#scalar = scalar;
    this.publicKey = publicKey;
  }

  wrapper(): Sm2Wrapper {
    return new Sm2Wrapper(
      this.publicKey,
      softSm2Opener(this.publicKey, () => this.#scalar),
    );
  }

  withoutPrivateKey(): Sm2Wrapper {
    return new Sm2Wrapper(this.publicKey);
  }
}

/** What a table holds, so that two can be compared: with the zones' data keys, in hexadecimal. */
export function contentOf(table: KeyTable): unknown {
  using namesKey = table.namesKey();
  return {
    namesKey: hexOf(namesKey),
    rules: table.rules.rules,
    zones: Array.from(table.zones(), (zone) => ({
      id: zone.zoneId.toString("hex"),
      path: zone.path,
      protection: zone.protection,
      destroyed: zone.destroyed,
      madeAtMs: zone.madeAtMs,
      highest: zone.highestGeneration,
      generations: zone.generations.map(({ generation, retired, madeAtMs }) => {
        using key = table.unwrap(zone, generation);
        return { generation, retired, madeAtMs, key: hexOf(key) };
      }),
    })).sort((left, right) => (left.id < right.id ? -1 : 1)),
  };
}

export function hexOf(secret: SecretBuffer): string {
  return secret.expose((bytes) => bytes.toString("hex"));
}
