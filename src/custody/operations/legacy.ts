import { createHmac } from "node:crypto";
import { CryptoError } from "../../crypto/errors.ts";
import { legacyDecryptDataKey, legacyEncrypt, legacyEncryptDataKey } from "../../crypto/legacy-fisco.ts";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import type { LegacyEntry, LegacyInput, LegacyOperations } from "../contract/legacy.ts";
import { type AccountSubject, type Core, performOnAccount } from "../core.ts";
import { CustodyError } from "../errors.ts";
import type { Caller } from "../service.ts";
import { change, type LegacyRecord } from "../state/records.ts";

const maxDataKeyBytes = 1024;
const maxFileTextBytes = 1 << 20;
const maxEntries = 100_000;
const hexPattern = /^(?:[0-9a-f]{32}){1,80}$/;

/**
 * FISCO's unauthenticated formats. Because their IV is a part of the key, a decryption of chosen input gives the superKey
 * away: so only a cipherDataKey that is in the registry for this superKey and mode reaches the cipher at all.
 */
export class Legacy implements LegacyOperations {
  readonly #core: Core;
  readonly #tagKey: SecretBuffer;

  /** Takes over `tagKey`. */
  constructor(core: Core, tagKey: SecretBuffer) {
    this.#core = core;
    this.#tagKey = tagKey;
  }

  async encryptDataKey(caller: Caller, input: LegacyInput & { dataKey: SecretBuffer; node?: string }): Promise<string> {
    if (input.dataKey.byteLength > maxDataKeyBytes)
      throw new CustodyError(
        "INPUT_INVALID",
        `a dataKey has at most ${maxDataKeyBytes} bytes, got ${input.dataKey.byteLength}`,
      );
    const subject: AccountSubject = {
      action: "strongroom:LegacyEncrypt",
      detail: { format: "fisco", mode: input.mode },
    };
    return performOnAccount(this.#core, caller, subject, (now) => {
      const cipherDataKey = legacyEncryptDataKey(input.mode, input.superKey, input.dataKey);
      return { value: cipherDataKey, changes: this.#enter(input, cipherDataKey, input.node, "made", now) };
    });
  }

  async decryptDataKey(caller: Caller, input: LegacyInput & { cipherDataKey: string }): Promise<SecretBuffer> {
    const subject: AccountSubject = {
      action: "strongroom:LegacyDecrypt",
      detail: { format: "fisco", mode: input.mode },
    };
    return performOnAccount(
      this.#core,
      caller,
      subject,
      () => {
        const entry = this.#registered(input);
        subject.detail = {
          ...subject.detail,
          cipherDataKey: entry.cipherDataKey,
          ...(entry.node === null ? {} : { node: entry.node }),
        };
        return { value: this.#decrypt(input, entry) };
      },
      (dataKey) => dataKey[Symbol.dispose](),
    );
  }

  async encryptKeyFile(
    caller: Caller,
    input: LegacyInput & { cipherDataKey: string; text: SecretBuffer },
  ): Promise<string> {
    if (input.text.byteLength > maxFileTextBytes)
      throw new CustodyError(
        "INPUT_INVALID",
        `a key file's text has at most ${maxFileTextBytes} bytes, got ${input.text.byteLength}`,
      );
    const subject: AccountSubject = {
      action: "strongroom:LegacyEncrypt",
      detail: { format: "fisco", mode: input.mode, what: "key file" },
    };
    return performOnAccount(this.#core, caller, subject, () => {
      using dataKey = this.#decrypt(input, this.#registered(input));
      return { value: input.text.expose((text) => legacyEncrypt(input.mode, dataKey, text)).toString("hex") };
    });
  }

  async register(caller: Caller, input: LegacyInput & { cipherDataKey: string; node?: string }): Promise<LegacyEntry> {
    const cipherDataKey = normalised(input.cipherDataKey);
    if (cipherDataKey === undefined)
      throw new CustodyError("INPUT_INVALID", "a cipherDataKey is hex of whole 16-byte blocks, at most 80 of them");
    const subject: AccountSubject = {
      action: "strongroom:LegacyRegister",
      detail: { format: "fisco", mode: input.mode, cipherDataKey },
    };
    return performOnAccount(this.#core, caller, subject, (now) => {
      const entry = {
        cipherDataKey,
        mode: input.mode,
        node: input.node ?? null,
        origin: "registered",
        createdAt: now.toISOString(),
      } as const;
      this.#decrypt(input, entry)[Symbol.dispose]();
      return { value: entry, changes: this.#enter(input, cipherDataKey, input.node, "registered", now) };
    });
  }

  async list(caller: Caller): Promise<readonly LegacyEntry[]> {
    return performOnAccount(this.#core, caller, { action: "strongroom:LegacyList" }, () => ({
      value: [...this.#core.state.all("legacy")].map(([, entry]) => entry),
    }));
  }

  /** @throws {CustodyError} `LEGACY_REFUSED` before any cipher has run. */
  #registered(input: LegacyInput & { cipherDataKey: string }): LegacyRecord {
    const cipherDataKey = normalised(input.cipherDataKey);
    const entry =
      cipherDataKey === undefined ? undefined : this.#core.state.get("legacy", this.#entryId(input, cipherDataKey));
    if (entry === undefined) throw new CustodyError("LEGACY_REFUSED");
    return entry;
  }

  #decrypt(input: LegacyInput, entry: LegacyRecord): SecretBuffer {
    try {
      return legacyDecryptDataKey(input.mode, input.superKey, entry.cipherDataKey);
    } catch (cause) {
      if (cause instanceof CryptoError) throw new CustodyError("LEGACY_REFUSED", undefined, cause);
      throw cause;
    }
  }

  #enter(
    input: LegacyInput,
    cipherDataKey: string,
    node: string | undefined,
    origin: LegacyRecord["origin"],
    now: Date,
  ) {
    const id = this.#entryId(input, cipherDataKey);
    if (this.#core.state.get("legacy", id) !== undefined) return [];
    if (this.#core.state.count("legacy") >= maxEntries)
      throw new CustodyError("INPUT_INVALID", `the registry holds ${maxEntries} cipherDataKeys, which is its limit`);
    return [
      change("legacy", id, {
        cipherDataKey,
        mode: input.mode,
        node: node ?? null,
        origin,
        createdAt: now.toISOString(),
      }),
    ];
  }

  /** Names the superKey without revealing it: a keyed tag, useless without the root key. */
  #entryId(input: LegacyInput, cipherDataKey: string): string {
    const tag = this.#tagKey.expose((key) =>
      input.superKey.expose((superKey) =>
        createHmac("sha256", key).update(`${input.mode}\0`).update(superKey).digest("hex"),
      ),
    );
    return `${tag.slice(0, 32)}:${cipherDataKey}`;
  }
}

/** The original takes `0x` and upper case; one cipherDataKey has one registry name. */
function normalised(cipherDataKey: string): string | undefined {
  const hex = cipherDataKey.toLowerCase().replace(/^0x/, "");
  return hexPattern.test(hex) ? hex : undefined;
}
