import { randomUUID, timingSafeEqual } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { CryptoError } from "../crypto/errors.ts";
import { deviceAlgorithms, openBox, sealBox } from "../crypto/sealed-box.ts";
import { SecretBuffer } from "../crypto/secret-buffer.ts";
import { type SuiteName, suites } from "../crypto/suite.ts";
import { replaceFileDurably } from "./durable-file.ts";
import { DeviceError } from "./errors.ts";
import { FileLock, LockHeld } from "./file-lock.ts";
import { RootKey, rootMac } from "./root-key.ts";
import {
  newScryptParameters,
  type ScryptParameters,
  scryptParametersOf,
  stretchPassphrase,
} from "./slot-passphrase.ts";

/** How a slot is opened: a passphrase stretched by scrypt, or a key file of at least 32 random bytes. */
export type SlotKind = "passphrase" | "key-file";

/** What is shown of a slot. */
export interface SlotDescription {
  readonly slot: number;
  readonly kind: SlotKind;
  readonly label: string;
  readonly createdAt: string;
}

interface SlotEntry extends SlotDescription {
  readonly scrypt?: ScryptParameters;
  /** Sealed box of type `keySlot` that holds the root key, base64. */
  readonly box: string;
}

interface SlotFile {
  readonly format: "strongroom-root-slots/1";
  readonly rootId: string;
  readonly suite: SuiteName;
  /** Never reused, so that an old slot's box cannot stand in for a new one. */
  readonly nextSlot: number;
  readonly slots: readonly SlotEntry[];
}

/** Limits of an unlock secret, in bytes. */
export const unlockSecretLimits = { keyFileMinimum: 32, maximum: 4096 } as const;
const maxSlots = 16;
/** A change holds the lock for milliseconds: scrypt runs before it is taken. */
const lockWaitMs = 10_000;
const maxFileBytes = 256 * 1024;

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
    this.#write(root, { format, rootId: root.id, suite, nextSlot: 2, slots: [entry] });
    return root;
  }

  /**
   * Opens the root key with whichever slot the secret fits.
   *
   * @throws {DeviceError} `UNLOCK_REFUSED` when it fits none (one error for all reasons); `SLOTS_DAMAGED` for a file that
   *   is missing, malformed or fails its MAC. Nothing is changed.
   */
  async open(unlock: SecretBuffer): Promise<RootKey> {
    const { file, mac, body } = this.#read();
    for (const entry of [...file.slots].sort(
      (a, b) => Number(a.kind === "passphrase") - Number(b.kind === "passphrase"),
    )) {
      const root = await openSlot(file, entry, unlock);
      if (root === undefined) continue;
      if (!timingSafeEqual(fileMac(root, body), mac)) {
        root[Symbol.dispose]();
        throw new DeviceError("SLOTS_DAMAGED", `${this.#path} does not authenticate under its own root key`);
      }
      return root;
    }
    throw new DeviceError("UNLOCK_REFUSED");
  }

  list(): readonly SlotDescription[] {
    return this.#read().file.slots.map(({ slot, kind, label, createdAt }) => ({ slot, kind, label, createdAt }));
  }

  /** Adds a slot for another unlock secret; returns its number. */
  async add(root: RootKey, kind: SlotKind, unlock: SecretBuffer, label: string): Promise<number> {
    using secret = await stretch(kind, unlock);
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

const format = "strongroom-root-slots/1" as const;

function fileMac(root: RootKey, body: string): Buffer {
  using key = root.derive("slotFile");
  return rootMac(root.suiteName, key, body);
}

/** What a slot's box is sealed under. */
interface SlotSecret extends Disposable {
  readonly kind: SlotKind;
  readonly scrypt?: ScryptParameters;
  readonly secret: SecretBuffer;
}

/** The slow part of sealing a slot, which needs neither its number nor the file. */
async function stretch(kind: SlotKind, unlock: SecretBuffer): Promise<SlotSecret> {
  checkUnlockSecret(kind, unlock);
  const scrypt = kind === "passphrase" ? newScryptParameters() : undefined;
  const secret = scrypt === undefined ? unlock.clone() : await stretchPassphrase(unlock, scrypt);
  return {
    kind,
    secret,
    ...(scrypt === undefined ? {} : { scrypt }),
    [Symbol.dispose]: () => secret[Symbol.dispose](),
  };
}

function sealSlot(root: RootKey, slot: number, { kind, scrypt, secret }: SlotSecret, label: string): SlotEntry {
  const createdAt = new Date().toISOString();
  const header = {
    suite: suites[root.suiteName],
    type: "keySlot",
    keyId: root.id,
    keyVersion: slot,
    deviceAlgorithm: kind === "passphrase" ? deviceAlgorithms.passphrase : deviceAlgorithms.keyFile,
    deviceBlob: Buffer.alloc(0),
  } as const;
  const entry = { slot, kind, label, createdAt, ...(scrypt === undefined ? {} : { scrypt }) };
  const box = root.exposeToSlot((bytes) => sealBox(header, secret, slotContext(entry), bytes));
  return { ...entry, box: box.toString("base64") };
}

function slotIn(file: SlotFile, slot: number): SlotEntry {
  const entry = file.slots.find((each) => each.slot === slot);
  if (entry === undefined) throw new DeviceError("SLOT_NOT_FOUND", `there is no key slot ${slot}`);
  return entry;
}

async function openSlot(file: SlotFile, entry: SlotEntry, unlock: SecretBuffer): Promise<RootKey | undefined> {
  if (entry.kind === "key-file" && unlock.byteLength < unlockSecretLimits.keyFileMinimum) return undefined;
  using secret = entry.scrypt === undefined ? unlock.clone() : await stretchPassphrase(unlock, entry.scrypt);
  try {
    const root = openBox(Buffer.from(entry.box, "base64"), "keySlot", secret, slotContext(entry));
    return new RootKey(file.rootId, file.suite, root);
  } catch (error) {
    if (error instanceof CryptoError && error.code === "BOX_REFUSED") return undefined;
    throw error;
  }
}

function slotContext(entry: Omit<SlotEntry, "box">): Record<string, string> {
  const { scrypt } = entry;
  return {
    slot: String(entry.slot),
    kind: entry.kind,
    label: entry.label,
    createdAt: entry.createdAt,
    ...(scrypt === undefined ? {} : { scrypt: `N=${scrypt.N},r=${scrypt.r},p=${scrypt.p},salt=${scrypt.salt}` }),
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

function parseSlotFile(text: string, path: string): { file: SlotFile; mac: Buffer; body: string } {
  const damaged = (what: string) => new DeviceError("SLOTS_DAMAGED", `${path}: ${what}`);
  if (text.length > maxFileBytes) throw damaged("larger than a key-slot file can be");
  const match = /^([\s\S]*)\n([0-9a-f]{64})\n$/.exec(text);
  if (match === null) throw damaged("cut or not a key-slot file");
  const [, body = "", macHex = ""] = match;
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch (cause) {
    throw new DeviceError("SLOTS_DAMAGED", `${path}: not a key-slot file`, cause);
  }
  if (!isSlotFile(value)) throw damaged("not a key-slot file of this version");
  return { file: value, mac: Buffer.from(macHex, "hex"), body };
}

function isSlotFile(value: unknown): value is SlotFile {
  if (typeof value !== "object" || value === null) return false;
  const file = value as Partial<Record<keyof SlotFile, unknown>>;
  return (
    file.format === format &&
    typeof file.rootId === "string" &&
    (file.suite === "intl" || file.suite === "sm") &&
    Number.isSafeInteger(file.nextSlot) &&
    Array.isArray(file.slots) &&
    file.slots.length > 0 &&
    file.slots.length <= maxSlots &&
    file.slots.every(isSlotEntry)
  );
}

function isSlotEntry(value: unknown): value is SlotEntry {
  if (typeof value !== "object" || value === null) return false;
  const entry = value as Partial<Record<keyof SlotEntry, unknown>>;
  const texts = [entry.label, entry.createdAt, entry.box].every((text) => typeof text === "string");
  if (!texts || !Number.isSafeInteger(entry.slot) || Number(entry.slot) < 1) return false;
  return entry.kind === "key-file"
    ? entry.scrypt === undefined
    : entry.kind === "passphrase" && scryptParametersOf(entry.scrypt) !== undefined;
}
