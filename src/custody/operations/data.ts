import { type Context, contextEquals, serverContextPrefix } from "../../crypto/context.ts";
import { CryptoError } from "../../crypto/errors.ts";
import { checkEncodable, encodedContext } from "../../crypto/known-contexts.ts";
import { type BoxHeader, type ReadBox, readBox, sealBox } from "../../crypto/sealed-box.ts";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { suites } from "../../crypto/suite.ts";
import type { BoxSecret, CryptoDevice, DeviceKey } from "../../devices/device.ts";
import { shortContext } from "../commit-batch.ts";
import type { DataOperations, WrappedKey } from "../contract/data-keys.ts";
import type { LeaseStatement } from "../contract/leases.ts";
import { type Core, type KeySubject, performDecided, performOnKey, requestAliasOf } from "../core.ts";
import { DeviceAnswers } from "../device-answers.ts";
import { CustodyError } from "../errors.ts";
import { mustWrap } from "../key-use.ts";
import type { ActionName } from "../policy/actions.ts";
import type { Caller } from "../service.ts";
import type { KeyRecord, KeyVersionRecord } from "../state/records.ts";
import { leaseDetail } from "./leases.ts";

const maxDataKeyBytes = 1024;
const maxWrapBytes = 4096;
/** A wrapped key: at most `maxWrapBytes` and the box around it, with room for a device blob. */
const maxWrappedBytes = 8192;

export interface Opened {
  readonly keyId: string;
  readonly keyVersion: number;
  readonly materialId: string;
  readonly plaintext: SecretBuffer;
}

/** Data keys: made, wrapped, unwrapped, rewrapped, each bound to a context. */
export class Data implements DataOperations {
  readonly #core: Core;

  constructor(core: Core) {
    this.#core = core;
  }

  async generateDataKey(
    caller: Caller,
    input: { key: string; context: Context; bytes?: number },
  ): Promise<WrappedKey & { readonly plaintext: SecretBuffer }> {
    const bytes = checkDataKeyBytes(input.bytes);
    const subject = dataKeySubject("kms:GenerateDataKey", input, { bytes });
    using answers = new DeviceAnswers();
    return await performOnKey(
      this.#core,
      caller,
      subject,
      async (key) => {
        const plaintext = SecretBuffer.random(bytes);
        return { value: { ...(await sealDataKey(this.#core, key, input.context, plaintext, answers)), plaintext } };
      },
      (value) => value.plaintext[Symbol.dispose](),
    );
  }

  async generateDataKeyWithoutPlaintext(
    caller: Caller,
    input: { key: string; context: Context; bytes?: number },
  ): Promise<WrappedKey> {
    const bytes = checkDataKeyBytes(input.bytes);
    const subject = dataKeySubject("kms:GenerateDataKeyWithoutPlaintext", input, { bytes });
    using answers = new DeviceAnswers();
    return await performOnKey(this.#core, caller, subject, async (key) => {
      using plaintext = SecretBuffer.random(bytes);
      return { value: await sealDataKey(this.#core, key, input.context, plaintext, answers) };
    });
  }

  async wrap(caller: Caller, input: { key: string; context: Context; plaintext: SecretBuffer }): Promise<WrappedKey> {
    const { byteLength } = input.plaintext;
    if (byteLength < 1 || byteLength > maxWrapBytes)
      throw new CustodyError("INPUT_INVALID", `a wrap takes 1 to ${maxWrapBytes} bytes, got ${byteLength}`);
    const subject = dataKeySubject("kms:Encrypt", input, { bytes: byteLength });
    using answers = new DeviceAnswers();
    return await performOnKey(this.#core, caller, subject, async (key) => ({
      value: await sealDataKey(this.#core, key, input.context, input.plaintext, answers),
    }));
  }

  async unwrap(
    caller: Caller,
    input: { wrapped: Buffer; context: Context; key?: string; lease?: LeaseStatement },
  ): Promise<Opened> {
    const detail = input.lease === undefined ? {} : leaseDetail(this.#core, caller, input.lease);
    const box = boxOf(input.wrapped);
    const reference = input.key ?? box?.header.keyId;
    if (reference === undefined) return refuseUnreadable(this.#core, caller, "kms:Decrypt", input.context);
    using answers = new DeviceAnswers();
    return await performOnKey(
      this.#core,
      caller,
      dataKeySubject("kms:Decrypt", { key: reference, context: input.context }, detail),
      async (key) => ({ value: await openDataKey(this.#core, key, box, input.context, answers) }),
      (value) => value.plaintext[Symbol.dispose](),
    );
  }

  async rewrap(
    caller: Caller,
    input: { wrapped: Buffer; context: Context; toKey?: string; toContext?: Context },
  ): Promise<WrappedKey> {
    const box = boxOf(input.wrapped);
    const toContext = input.toContext ?? input.context;
    const destination = (from: KeyRecord) =>
      input.toKey === undefined ? from : this.#core.directory.find(input.toKey);
    const factsOf = (from: KeyRecord) => ({ reEncryptOnSameKey: destination(from).id === from.id });
    const subject = {
      ...dataKeySubject("kms:ReEncryptFrom", { key: box?.header.keyId ?? "", context: input.context }, {}),
      facts: factsOf,
    };
    using answers = new DeviceAnswers();
    return await performOnKey(this.#core, caller, subject, async (from, now) => {
      const to = destination(from);
      subject.detail = destinationDetail(to, input.context, toContext, "asked for");
      checkContext(toContext);
      this.#core.authorizer.check({
        caller,
        action: "kms:ReEncryptTo",
        now,
        key: to,
        context: toContext,
        facts: factsOf(from),
        ...requestAliasOf(this.#core, input.toKey),
      });
      if (to.suite !== from.suite)
        throw new CustodyError("INPUT_INVALID", `a key of suite ${from.suite} is not rewrapped into suite ${to.suite}`);
      const opened = await openDataKey(this.#core, from, box, input.context, answers);
      using plaintext = opened.plaintext;
      const value = await sealDataKey(this.#core, to, toContext, plaintext, answers);
      subject.detail = destinationDetail(to, input.context, toContext, "done");
      return { value };
    });
  }
}

/**
 * Opens what {@link sealDataKey} sealed. The caller disposes of the plaintext.
 *
 * @param box - Undefined for bytes that are no box at all.
 * @param answers - The request's, which outlast a decision that is taken anew.
 * @throws {CustodyError} `KEY_INCORRECT` when the box is another key's; `WRAP_REFUSED`, `KEY_USAGE_INVALID`,
 *   `ALGORITHM_INVALID`, `KEY_DISABLED`, `KEY_STATE_INVALID`.
 */
export async function openDataKey(
  core: Core,
  key: KeyRecord,
  box: ReadBox | undefined,
  context: Context,
  answers: DeviceAnswers,
): Promise<Opened> {
  if (box !== undefined && box.header.keyId !== key.id) throw new CustodyError("KEY_INCORRECT");
  mustWrap(key);
  const deviceKey = box === undefined ? undefined : versionOf(key, box.header.keyVersion);
  if (box === undefined || deviceKey === undefined || box.header.suite.name !== key.suite)
    throw new CustodyError("WRAP_REFUSED");
  const { deviceAlgorithm, deviceBlob } = box.header;
  const bound = encodedContext(box.header.suite, context);
  try {
    const ask = async (device: CryptoDevice): Promise<BoxSecret> => ({
      secret: await device.boxSecretToOpen(deviceKey, deviceAlgorithm, deviceBlob, context),
      algorithm: deviceAlgorithm,
      blob: Buffer.alloc(0),
    });
    const { secret } = await boxSecretOf(core, key, `open ${key.id}/${deviceKey.version}`, ask, answers);
    const plaintext = await core.opener.open({ box, context: bound, secret });
    return { keyId: key.id, keyVersion: deviceKey.version, materialId: materialIdOf(key, deviceKey), plaintext };
  } catch (cause) {
    if (cause instanceof CryptoError && cause.code === "BOX_REFUSED")
      throw new CustodyError("WRAP_REFUSED", undefined, cause);
    throw cause;
  }
}

/** The answer to bytes that are no box, for a request that names no key: there is no key whose policy could be asked. */
export async function refuseUnreadable(
  core: Core,
  caller: Caller,
  action: ActionName,
  context: Context,
): Promise<never> {
  checkContext(context);
  return performDecided(core, caller, { action, context }, () => {
    throw new CustodyError("WRAP_REFUSED");
  });
}

/**
 * Seals a data key, a private key or another short secret under a symmetric master key's newest version.
 *
 * @throws {CustodyError} `KEY_USAGE_INVALID`, `ALGORITHM_INVALID`, `KEY_DISABLED`, `KEY_STATE_INVALID`.
 */
export async function sealDataKey(
  core: Core,
  key: KeyRecord,
  context: Context,
  plaintext: SecretBuffer,
  answers: DeviceAnswers,
): Promise<WrappedKey> {
  mustWrap(key);
  const deviceKey = newestVersion(key);
  const ask = (device: CryptoDevice) => device.boxSecretToSeal(deviceKey, context);
  const name = `seal ${key.id}/${deviceKey.version}`;
  const { secret, algorithm, blob } = await boxSecretOf(core, key, name, ask, answers);
  using boxSecret = secret;
  const header: BoxHeader = {
    suite: suites[key.suite],
    type: "dataKey",
    keyId: key.id,
    keyVersion: deviceKey.version,
    deviceAlgorithm: algorithm,
    deviceBlob: blob,
  };
  const wrapped = plaintext.expose((bytes) => sealBox(header, boxSecret, context, bytes));
  return { keyId: key.id, keyVersion: deviceKey.version, materialId: materialIdOf(key, deviceKey), wrapped };
}

/** A box secret from the key's device; a remote one is asked once for a request. The caller disposes of it. */
function boxSecretOf(
  core: Core,
  key: KeyRecord,
  name: string,
  ask: (device: CryptoDevice) => Promise<BoxSecret>,
  answers: DeviceAnswers,
): Promise<BoxSecret> {
  const asked = () => core.devices.use(key, ask);
  return core.devices.isRemote(key) ? answers.once(name, asked) : asked();
}

/** The subject of an operation under a context, which is checked for names that are the server's own. */
export function dataKeySubject(
  action: ActionName,
  input: { key: string; context: Context },
  detail: Record<string, number | string>,
): KeySubject {
  checkContext(input.context);
  return { action, reference: input.key, context: input.context, detail };
}

/**
 * What a record says of where a re-encryption goes to. As with a request's own context, only a short one is kept of a request
 * that is refused: it is the caller's to choose, and was not checked.
 */
export function destinationDetail(
  { id: toKey }: KeyRecord,
  from: Context,
  to: Context,
  state: "asked for" | "done",
): Record<string, string> {
  if (contextEquals(from, to)) return { toKey };
  return { toKey, toContext: JSON.stringify(state === "done" ? to : shortContext(to)) };
}

/**
 * Checks a context of a request. Names that begin `strongroom:` belong to the server.
 *
 * @throws {CustodyError} `INPUT_INVALID`.
 */
export function checkContext(context: Context): void {
  const reserved = Object.keys(context).find((name) => name.startsWith(serverContextPrefix));
  if (reserved !== undefined)
    throw new CustodyError(
      "INPUT_INVALID",
      `context names that begin ${serverContextPrefix} are set by the key manager only`,
    );
  try {
    checkEncodable(context);
  } catch (cause) {
    throw cause instanceof CryptoError ? new CustodyError("INPUT_INVALID", cause.message, cause) : cause;
  }
}

/** A wrapped key taken apart; undefined for what is none. */
export function boxOf(wrapped: Buffer): ReadBox | undefined {
  if (wrapped.length > maxWrappedBytes) return undefined;
  try {
    return readBox(wrapped);
  } catch {
    return undefined;
  }
}

function checkDataKeyBytes(bytes = 32): number {
  if (!Number.isInteger(bytes) || bytes < 1 || bytes > maxDataKeyBytes)
    throw new CustodyError("INPUT_INVALID", `a data key has 1 to ${maxDataKeyBytes} bytes, got ${bytes}`);
  return bytes;
}

function newestVersion(key: KeyRecord): DeviceKey {
  const newest = key.versions.at(-1);
  const deviceKey = newest === undefined ? undefined : versionOf(key, newest.version);
  if (deviceKey === undefined) throw new CustodyError("KEY_STATE_INVALID", `master key ${key.id} has no material`);
  return deviceKey;
}

function materialIdOf(key: KeyRecord, { version }: DeviceKey): string {
  return key.versions.find((each) => each.version === version)?.materialId ?? "";
}

/** Records are never changed in place, so what was made of one stays true. */
const deviceKeys = new WeakMap<KeyVersionRecord, DeviceKey>();

function versionOf(key: KeyRecord, version: number): DeviceKey | undefined {
  const record = key.versions.find((each) => each.version === version);
  if (record?.material == null) return undefined;
  return deviceKeys.getOrInsertComputed(record, () => ({
    keyId: key.id,
    version,
    suite: key.suite,
    material: Buffer.from(record.material ?? "", "base64"),
  }));
}
