import { randomUUID, timingSafeEqual } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { CryptoError } from "../crypto/errors.ts";
import { deviceAlgorithms, openBox, readBoxHeader, sealBox } from "../crypto/sealed-box.ts";
import { SecretBuffer } from "../crypto/secret-buffer.ts";
import { type SuiteName, suites } from "../crypto/suite.ts";
import { replaceFileDurably } from "../files/durable-file.ts";
import type { DeviceKeyChoice, UpstreamKeyChoice } from "./device.ts";
import {
  type DeviceKeyNote,
  type NamedDevice,
  newDeviceSecret,
  noteContext,
  openDeviceSecret,
} from "./device-secret.ts";
import { DeviceError } from "./errors.ts";
import { FileLock, LockHeld } from "./file-lock.ts";
import { RootKey, rootMac } from "./root-key.ts";
import {
  maxSlots,
  parseSlotFile,
  type SlotDescription,
  type SlotEntry,
  type SlotFile,
  type SlotKind,
  slotFileFormat,
} from "./slot-file.ts";
import { newScryptParameters, type ScryptParameters, stretchPassphrase } from "./slot-passphrase.ts";

export type { SlotDescription, SlotKind } from "./slot-file.ts";

/** Limits of an unlock secret, in bytes. */
export const unlockSecretLimits = { keyFileMinimum: 32, maximum: 4096 } as const;
/** A change holds the lock for milliseconds: scrypt runs before it is taken. */
const lockWaitMs = 10_000;

/**
 * The root key's slots in one file: each slot holds the same root key under another unlock secret, so that secrets change
 * without re-sealing anything. The file is replaced whole and durably; it carries a MAC under the root key, and each
 * slot's parameters are authenticated by the slot's box. Changes take turns: each reads, checks and writes under a lock on
 * a file beside it, or a command that had read an older list would bring a removed secret back.
 */
export class KeySlots {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** Makes a root key and the file with its first slot. Refuses to replace a file. */
  async create(suite: SuiteName, kind: SlotKind, unlock: SecretBuffer, label: string): Promise<RootKey> {
    if (existsSync(this.#path)) throw new DeviceError("SLOTS_DAMAGED", `${this.#path} exists: it is not replaced`);
    const root = new RootKey(randomUUID(), suite, SecretBuffer.random(32));
    using secret = await stretch(kind, unlock);
    const entry = sealSlot(root, 1, secret, label);
    this.#write(root, { format: slotFileFormat, rootId: root.id, suite, nextSlot: 2, slots: [entry] });
    return root;
  }

  /**
   * Opens the root key with whichever slot the secret, or the device, fits. A slot whose key the device has no more, or whose key
   * is another now, keeps none of its other slots from being tried.
   *
   * @throws {DeviceError} `UNLOCK_REFUSED` when it fits none (one error for all reasons); `SLOTS_DAMAGED` for a file that
   *   is missing, malformed or fails its MAC; what the device fails with. Nothing is changed.
   */
  async open(unlock: SecretBuffer | NamedDevice): Promise<RootKey> {
    const { file, mac, body } = this.#read();
    let failed: unknown;
    for (const entry of [...file.slots].sort(
      (a, b) => Number(a.kind === "passphrase") - Number(b.kind === "passphrase"),
    )) {
      let root: RootKey | undefined;
      try {
        root = await openSlot(file, entry, unlock);
      } catch (error) {
        if (!isOfOneKey(error)) throw error;
        failed ??= error;
      }
      if (root === undefined) continue;
      if (!timingSafeEqual(fileMac(root, body), mac)) {
        root[Symbol.dispose]();
        throw new DeviceError("SLOTS_DAMAGED", `${this.#path} does not authenticate under its own root key`);
      }
      return root;
    }
    throw failed ?? new DeviceError("UNLOCK_REFUSED");
  }

  list(): readonly SlotDescription[] {
    return this.#read().file.slots.map(({ slot, kind, label, createdAt, device }) => ({
      slot,
      kind,
      label: device === undefined ? label : [device.name, label].filter((text) => text !== "").join(": "),
      createdAt,
    }));
  }

  /** The keys of devices that slots are wrapped by. */
  deviceKeys(): readonly DeviceKeyNote[] {
    return this.#read().file.slots.flatMap(({ device }) => (device === undefined ? [] : [device]));
  }

  /** Adds a slot for another unlock secret; returns its number. */
  async add(root: RootKey, kind: SlotKind, unlock: SecretBuffer, label: string): Promise<number> {
    return this.#add(root, await stretch(kind, unlock), label);
  }

  /**
   * Adds a slot that a device opens: its box secret is wrapped by a key of the device.
   *
   * @param choice - An existing key of the device; by default the device makes one, where it does.
   * @returns The slot's number.
   * @throws {DeviceError} `DEVICE_UNSUPPORTED` for a device that does not authenticate what it wraps, and what it fails with.
   */
  async addDevice(
    root: RootKey,
    named: NamedDevice,
    choice: DeviceKeyChoice | UpstreamKeyChoice | undefined,
    label: string,
  ): Promise<number> {
    const { secret, algorithm, blob, note } = await newDeviceSecret(named, choice, deviceContext(root));
    return this.#add(root, new SlotSecret("device", secret, algorithm, { blob, device: note }), label);
  }

  /** Takes the secret over. */
  #add(root: RootKey, given: SlotSecret, label: string): number {
    using secret = given;
    const changed = this.#update(root, (file) => {
      if (file.slots.length >= maxSlots)
        throw new DeviceError("DEVICE_UNSUPPORTED", `there are ${maxSlots} key slots already`);
      const entry = sealSlot(root, file.nextSlot, secret, label);
      return { ...file, nextSlot: file.nextSlot + 1, slots: [...file.slots, entry] };
    });
    return changed.nextSlot - 1;
  }

  /** Replaces a slot's unlock secret in one step; the old secret stops working when this returns. */
  async change(root: RootKey, slot: number, kind: SlotKind, unlock: SecretBuffer): Promise<void> {
    using secret = await stretch(kind, unlock);
    this.#update(root, (file) => {
      const entry = sealSlot(root, slot, secret, slotIn(file, slot).label);
      return { ...file, slots: file.slots.map((each) => (each.slot === slot ? entry : each)) };
    });
  }

  /** Removes a slot. The last one cannot be removed. */
  remove(root: RootKey, slot: number): void {
    this.#update(root, (file) => {
      const gone = slotIn(file, slot);
      if (file.slots.length === 1)
        throw new DeviceError("SLOT_LAST", `key slot ${slot} is the last one: add another first`);
      return { ...file, slots: file.slots.filter((entry) => entry !== gone) };
    });
  }

  /** Reads, changes and writes the file while nobody else does; returns what was written. */
  #update(root: RootKey, change: (file: SlotFile) => SlotFile): SlotFile {
    // What is refused is refused here, so that it leaves no trace: not even the lock's file.
    change(this.#readAuthentic(root));
    using _lock = this.#lock();
    const changed = change(this.#readAuthentic(root));
    this.#write(root, changed);
    return changed;
  }

  #lock(): FileLock {
    try {
      return new FileLock(`${this.#path}.lock`, lockWaitMs);
    } catch (cause) {
      if (!(cause instanceof LockHeld)) throw this.#unwritable(cause);
      throw new DeviceError("SLOTS_BUSY", `another command is changing ${this.#path}: try again`, cause);
    }
  }

  #unwritable(cause: unknown): DeviceError {
    const reason = cause instanceof Error ? cause.message : String(cause);
    return new DeviceError("SLOTS_UNWRITABLE", `${this.#path} cannot be changed: ${reason}; it is as it was`, cause);
  }

  #readAuthentic(root: RootKey): SlotFile {
    const { file, mac, body } = this.#read();
    if (file.rootId !== root.id || !timingSafeEqual(fileMac(root, body), mac))
      throw new DeviceError("SLOTS_DAMAGED", `${this.#path} does not authenticate under its own root key`);
    return file;
  }

  #read(): { file: SlotFile; mac: Buffer; body: string } {
    let text: string;
    try {
      text = readFileSync(this.#path, "utf8");
    } catch (cause) {
      throw new DeviceError(
        "SLOTS_DAMAGED",
        `${this.#path} cannot be read: is this a key manager's data folder?`,
        cause,
      );
    }
    return parseSlotFile(text, this.#path);
  }

  #write(root: RootKey, file: SlotFile): void {
    const body = JSON.stringify(file, null, 1);
    try {
      replaceFileDurably(this.#path, Buffer.from(`${body}\n${fileMac(root, body).toString("hex")}\n`), 0o600);
    } catch (cause) {
      throw this.#unwritable(cause);
    }
  }
}

function fileMac(root: RootKey, body: string): Buffer {
  using key = root.derive("slotFile");
  return rootMac(root.suiteName, key, body);
}

/** What a slot's box is sealed under. */
class SlotSecret implements Disposable {
  readonly kind: SlotEntry["kind"];
  readonly secret: SecretBuffer;
  readonly algorithm: number;
  readonly blob: Buffer;
  readonly parameters: Pick<SlotEntry, "scrypt" | "device">;

  /** Takes `secret` over. */
  constructor(
    kind: SlotEntry["kind"],
    secret: SecretBuffer,
    algorithm: number,
    {
      blob = Buffer.alloc(0),
      ...parameters
    }: { readonly blob?: Buffer; readonly scrypt?: ScryptParameters; readonly device?: DeviceKeyNote } = {},
  ) {
    this.kind = kind;
    this.secret = secret;
    this.algorithm = algorithm;
    this.blob = blob;
    this.parameters = parameters;
  }

  [Symbol.dispose](): void {
    this.secret[Symbol.dispose]();
  }
}

/** The slow part of sealing a slot, which needs neither its number nor the file. */
async function stretch(kind: SlotKind, unlock: SecretBuffer): Promise<SlotSecret> {
  checkUnlockSecret(kind, unlock);
  if (kind === "key-file") return new SlotSecret(kind, unlock.clone(), deviceAlgorithms.keyFile);
  const scrypt = newScryptParameters();
  return new SlotSecret(kind, await stretchPassphrase(unlock, scrypt), deviceAlgorithms.passphrase, { scrypt });
}

function sealSlot(root: RootKey, slot: number, sealedUnder: SlotSecret, label: string): SlotEntry {
  const { kind, secret, algorithm, blob, parameters } = sealedUnder;
  const createdAt = new Date().toISOString();
  const header = {
    suite: suites[root.suiteName],
    type: "keySlot",
    keyId: root.id,
    keyVersion: slot,
    deviceAlgorithm: algorithm,
    deviceBlob: blob,
  } as const;
  const entry = { slot, kind, label, createdAt, ...parameters };
  const box = root.exposeToSlot((bytes) => sealBox(header, secret, slotContext(entry), bytes));
  return { ...entry, box: box.toString("base64") };
}

const codesOfOneKey: ReadonlySet<string> = new Set([
  "DEVICE_KEY_CHANGED",
  "DEVICE_KEY_NOT_FOUND",
  "DEVICE_INPUT_REFUSED",
  "DEVICE_UNSUPPORTED",
  "KEY_DAMAGED",
]);

/** Whether a device failed at one key of it: all else (a refused PIN, a device that is away) is the same for its other keys. */
function isOfOneKey(error: unknown): boolean {
  return error instanceof DeviceError && codesOfOneKey.has(error.code);
}

function slotIn(file: SlotFile, slot: number): SlotEntry {
  const entry = file.slots.find((each) => each.slot === slot);
  if (entry === undefined) throw new DeviceError("SLOT_NOT_FOUND", `there is no key slot ${slot}`);
  return entry;
}

async function openSlot(
  file: SlotFile,
  entry: SlotEntry,
  unlock: SecretBuffer | NamedDevice,
): Promise<RootKey | undefined> {
  const box = Buffer.from(entry.box, "base64");
  try {
    using secret = await slotSecret(file, entry, box, unlock);
    if (secret === undefined) return undefined;
    return new RootKey(file.rootId, file.suite, openBox(box, "keySlot", secret, slotContext(entry)));
  } catch (error) {
    if (error instanceof CryptoError && error.code === "BOX_REFUSED") return undefined;
    throw error;
  }
}

/** Undefined when this kind of unlocking is not the slot's. */
async function slotSecret(
  { rootId }: SlotFile,
  { kind, scrypt, device }: SlotEntry,
  box: Buffer,
  unlock: SecretBuffer | NamedDevice,
): Promise<SecretBuffer | undefined> {
  if (!(unlock instanceof SecretBuffer)) {
    if (device === undefined || device.name !== unlock.name) return undefined;
    return await openDeviceSecret(unlock, device, readBoxHeader(box), deviceContext({ id: rootId }));
  }
  if (kind === "device") return undefined;
  if (kind === "key-file" && unlock.byteLength < unlockSecretLimits.keyFileMinimum) return undefined;
  return scrypt === undefined ? unlock.clone() : await stretchPassphrase(unlock, scrypt);
}

/** What a device is told of a slot's secret: a KMS has it on its own record. */
function deviceContext({ id }: Pick<RootKey, "id">): Record<string, string> {
  return { purpose: "strongroom key slot", root: id };
}

function slotContext(entry: Omit<SlotEntry, "box">): Record<string, string> {
  const { scrypt, device } = entry;
  return {
    slot: String(entry.slot),
    kind: entry.kind,
    label: entry.label,
    createdAt: entry.createdAt,
    ...(scrypt === undefined ? {} : { scrypt: `N=${scrypt.N},r=${scrypt.r},p=${scrypt.p},salt=${scrypt.salt}` }),
    ...(device === undefined ? {} : noteContext(device)),
  };
}

function checkUnlockSecret(kind: SlotKind, unlock: SecretBuffer): void {
  const least = kind === "key-file" ? unlockSecretLimits.keyFileMinimum : 1;
  if (unlock.byteLength < least || unlock.byteLength > unlockSecretLimits.maximum)
    throw new DeviceError(
      "UNLOCK_SECRET_UNSAFE",
      `the unlock secret of a ${kind} slot has ${least} to ${unlockSecretLimits.maximum} bytes, got ${unlock.byteLength}`,
    );
}
