import { timingSafeEqual } from "node:crypto";
import { generateKeyPairOf, type NewKeyPair } from "../../crypto/key-generation.ts";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { keyArn } from "../arn.ts";
import type { ImportOperations, WrappingAlgorithm, WrappingKeySpec } from "../contract/key-attributes.ts";
import { type Core, performDecided, performOnKey } from "../core.ts";
import { CustodyError } from "../errors.ts";
import { boxSecretOf, materialBytes, unwrapMaterial, wrapsWith } from "../import-material.ts";
import type { ImportTokens } from "../import-tokens.ts";
import { withinShare } from "../key-pair-shares.ts";
import { materialExpired, mustBeAlive, withoutImportedMaterial } from "../key-states.ts";
import type { Caller, KeyDescription } from "../service.ts";
import { change, type ImportTokenRecord, type KeyRecord, type StateChange } from "../state/records.ts";
import { mustImport, newMaterialId } from "./key-versions.ts";
import { serverItself } from "./server-itself.ts";

const tokenLifetimeMs = 24 * 60 * 60 * 1000;
/** More imports of one key than anyone has under way at a time; the oldest gives way. */
const maxTokensPerKey = 8;
const maxWrappedBytes = 6144;
const maxMaterialLifetimeMs = 365 * 24 * 60 * 60 * 1000;

/** Import of key material that was made elsewhere. The imported bytes alone determine the key: the same restore it. */
export class Imports implements ImportOperations {
  readonly #core: Core;
  readonly #tokens: ImportTokens;

  constructor(core: Core, tokens: ImportTokens) {
    this.#core = core;
    this.#tokens = tokens;
  }

  async parameters(
    caller: Caller,
    input: { readonly key: string; readonly algorithm: WrappingAlgorithm; readonly wrappingKeySpec: WrappingKeySpec },
  ): Promise<{
    readonly arn: string;
    readonly spki: Buffer;
    readonly token: SecretBuffer;
    readonly validUntil: string;
  }> {
    const { algorithm, wrappingKeySpec } = input;
    if (!wrapsWith(wrappingKeySpec, algorithm))
      throw new CustodyError("INPUT_INVALID", "the wrapping algorithm does not go with the spec of the wrapping key");
    const subject = {
      action: "kms:GetParametersForImport",
      reference: input.key,
      detail: { algorithm, wrappingKeySpec },
    } as const;
    // Made once, however often the decision is taken anew: an RSA key takes seconds.
    let pair: NewKeyPair | undefined;
    try {
      return await performOnKey(
        this.#core,
        caller,
        { ...subject },
        async (record, now) => {
          mustImport(record);
          mustBeAlive(record);
          pair ??= await withinShare(caller, wrappingKeySpec, () => generateKeyPairOf(wrappingKeySpec));
          const expiresMs = now.getTime() + tokenLifetimeMs;
          const { id, token } = this.#tokens.make(record.id, expiresMs);
          const validUntil = new Date(expiresMs).toISOString();
          const box = this.#tokens.seal(id, record.id, pair.pkcs8);
          const kept = { keyId: record.id, algorithm, wrappingKeySpec, box, expiresAt: validUntil };
          return {
            value: { arn: keyArn(this.#core.identity, record.id), spki: pair.spki, token, validUntil },
            changes: [...this.#crowdedOut(record.id), change("importToken", id, kept)],
          };
        },
        ({ token }) => token[Symbol.dispose](),
      );
    } finally {
      pair?.pkcs8[Symbol.dispose]();
    }
  }

  async importMaterial(
    caller: Caller,
    input: {
      readonly key: string;
      readonly token: SecretBuffer;
      readonly wrapped: Uint8Array;
      readonly expiresAt: string | null;
    },
  ): Promise<KeyDescription> {
    const { wrapped, expiresAt } = input;
    if (wrapped.length < 1 || wrapped.length > maxWrappedBytes)
      throw new CustodyError("INPUT_INVALID", `wrapped material has 1 to ${maxWrappedBytes} bytes`);
    const subject = {
      action: "kms:ImportKeyMaterial",
      reference: input.key,
      detail: { expiresAt: expiresAt?.slice(0, 32) ?? "never" },
    } as const;
    return performOnKey(this.#core, caller, { ...subject }, async (record, now) => {
      mustImport(record);
      mustBeAlive(record);
      checkExpiry(expiresAt, now);
      using material = await this.#unwrap(record, input, now);
      const digest = this.#tokens.digestOf(record.id, material);
      if (record.imported !== null && !timingSafeEqual(Buffer.from(digest), Buffer.from(record.imported.digest)))
        throw new CustodyError("MATERIAL_INCORRECT", `master key ${record.id} takes only what was imported first`);
      const enabled: KeyRecord = {
        ...record,
        state: record.state === "pending-import" ? "enabled" : record.state,
        versions: [await this.#versionOf(record, material, now)],
        imported: { digest, expiresAt },
      };
      return { value: this.#core.directory.describe(enabled), changes: [change("key", record.id, enabled)] };
    });
  }

  /** Accepted also where there is no material. */
  async deleteMaterial(caller: Caller, key: string): Promise<KeyDescription> {
    const subject = { action: "kms:DeleteImportedKeyMaterial", reference: key } as const;
    const described = await performOnKey(this.#core, caller, { ...subject }, (record) => {
      mustImport(record);
      mustBeAlive(record);
      const emptied = withoutImportedMaterial(record);
      return { value: this.#core.directory.describe(emptied), changes: [change("key", record.id, emptied)] };
    });
    await this.#forget(described.keyId);
    return described;
  }

  /**
   * Drops material and tokens whose time is over, each key with its own record, under the name that CloudTrail has for it.
   * From its expiry on a key is of no use, whether this has run or not. A key that fails does not keep the others. Returns
   * how many keys there were.
   *
   * @throws {Error} What kept a key from being emptied, the first of them, when all others have been tried.
   */
  async expireDue(): Promise<number> {
    const nowMs = this.#core.journal.nowMs();
    const due = [...this.#core.state.all("key")].filter(([, key]) => materialExpired(key, nowMs));
    const failures: unknown[] = [];
    for (const work of [
      ...due.map(
        ([keyId]) =>
          () =>
            this.#expire(keyId),
      ),
      () => this.#forgetTokens(nowMs),
    ]) {
      try {
        await work();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
    return due.length;
  }

  async #expire(keyId: string): Promise<void> {
    const subject = { action: "kms:DeleteExpiredKeyMaterial", key: keyId };
    await performDecided(this.#core, serverItself("expiry"), subject, () => {
      const record = this.#core.state.get("key", keyId);
      if (record === undefined || !materialExpired(record, this.#core.journal.nowMs()))
        throw new CustodyError("KEY_STATE_INVALID", `the material of master key ${keyId} has not expired any more`);
      return { value: undefined, changes: [change("key", keyId, withoutImportedMaterial(record))] };
    });
    await this.#forget(keyId);
  }

  async #forgetTokens(nowMs: number): Promise<void> {
    const ended = () =>
      [...this.#core.state.all("importToken")].filter(([, each]) => Date.parse(each.expiresAt) <= nowMs);
    if (ended().length === 0) return;
    const subject = { action: "strongroom:ForgetImportTokens", detail: { tokens: ended().length } };
    await performDecided(this.#core, serverItself("expiry"), subject, () => ({
      value: undefined,
      changes: ended().map(([id]) => change("importToken", id, null)),
    }));
  }

  async #unwrap(
    record: KeyRecord,
    { token, wrapped }: { readonly token: SecretBuffer; readonly wrapped: Uint8Array },
    now: Date,
  ): Promise<SecretBuffer> {
    const id = this.#tokens.idOf(token, record.id, now.getTime());
    const kept: ImportTokenRecord | undefined = this.#core.state.get("importToken", id);
    if (kept === undefined) throw new CustodyError("IMPORT_TOKEN_INVALID");
    using pkcs8 = this.#tokens.open(id, record.id, kept.box);
    const material = await unwrapMaterial(kept.wrappingKeySpec, kept.algorithm, pkcs8, wrapped);
    if (material === undefined) throw new CustodyError("WRAP_REFUSED", "the wrapped material does not open");
    const { byteLength } = material;
    if (byteLength === materialBytes(record.spec)) return material;
    material[Symbol.dispose]();
    throw new CustodyError(
      "MATERIAL_INCORRECT",
      `material for ${record.spec} has ${materialBytes(record.spec)} bytes, got ${byteLength}`,
    );
  }

  /** The one version that a key of imported material has; named anew only the first time. */
  async #versionOf(record: KeyRecord, material: SecretBuffer, now: Date): Promise<KeyRecord["versions"][number]> {
    const { id: keyId, suite, spec } = record;
    using secret = boxSecretOf(spec, material);
    const sealed = await this.#core.devices.use(record, async (device) => {
      if (device.importKey === undefined)
        throw new CustodyError("KEY_UNSUPPORTED", "the device of this key takes no material from outside");
      return await device.importKey({ keyId, version: 1, suite }, secret);
    });
    const [first] = record.versions;
    return {
      version: 1,
      createdAt: first?.createdAt ?? now.toISOString(),
      materialId: first?.materialId ?? newMaterialId(),
      kind: "imported",
      material: sealed.toString("base64"),
    };
  }

  /** Drops what the device holds of a key in memory. */
  async #forget(keyId: string): Promise<void> {
    const record = this.#core.state.get("key", keyId);
    if (record === undefined) return;
    for (const { version } of record.versions) {
      const deviceKey = { keyId, version, suite: record.suite, material: Buffer.alloc(0) };
      await this.#core.devices.use(record, (device) => device.destroyKey(deviceKey));
    }
  }

  #crowdedOut(keyId: string): StateChange[] {
    const open = [...this.#core.state.all("importToken")].filter(([, each]) => each.keyId === keyId);
    open.sort(([, left], [, right]) => Date.parse(left.expiresAt) - Date.parse(right.expiresAt));
    return open.slice(0, Math.max(0, open.length + 1 - maxTokensPerKey)).map(([id]) => change("importToken", id, null));
  }
}

function checkExpiry(expiresAt: string | null, now: Date): void {
  if (expiresAt === null) return;
  const atMs = Date.parse(expiresAt);
  if (Number.isNaN(atMs) || new Date(atMs).toISOString() !== expiresAt)
    throw new CustodyError("INPUT_INVALID", "expiresAt is a time such as 2026-11-21T08:30:00.000Z");
  if (atMs <= now.getTime() || atMs - now.getTime() > maxMaterialLifetimeMs)
    throw new CustodyError("INPUT_INVALID", "expiresAt is in the future, at most 365 days ahead");
}
