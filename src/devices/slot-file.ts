import type { SuiteName } from "../crypto/suite.ts";
import { type DeviceKeyNote, deviceKeyNoteOf } from "./device-secret.ts";
import { DeviceError } from "./errors.ts";
import { type ScryptParameters, scryptParametersOf } from "./slot-passphrase.ts";

/** How a slot is opened by a secret: a passphrase stretched by scrypt, or a key file of at least 32 random bytes. */
export type SlotKind = "passphrase" | "key-file";

/** What is shown of a slot. */
export interface SlotDescription {
  readonly slot: number;
  /** `device`: opened by a key of a card, a token or a KMS. */
  readonly kind: SlotKind | "device";
  readonly label: string;
  readonly createdAt: string;
}

/** A slot as the file has it. All of it is authenticated by the box. */
export interface SlotEntry extends SlotDescription {
  readonly scrypt?: ScryptParameters;
  /** Of a slot of kind `device`. */
  readonly device?: DeviceKeyNote;
  /** Sealed box of type `keySlot` that holds the root key, base64. */
  readonly box: string;
}

export interface SlotFile {
  readonly format: "strongroom-root-slots/1";
  readonly rootId: string;
  readonly suite: SuiteName;
  /** Never reused, so that an old slot's box cannot stand in for a new one. */
  readonly nextSlot: number;
  readonly slots: readonly SlotEntry[];
}

export const slotFileFormat = "strongroom-root-slots/1" as const;
export const maxSlots = 16;
const maxFileBytes = 256 * 1024;

/** Takes the file's text apart; its MAC is the caller's to check. @throws {DeviceError} `SLOTS_DAMAGED`. */
export function parseSlotFile(text: string, path: string): { file: SlotFile; mac: Buffer; body: string } {
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
    file.format === slotFileFormat &&
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
  if (entry.kind === "device") return entry.scrypt === undefined && deviceKeyNoteOf(entry.device) !== undefined;
  if (entry.device !== undefined) return false;
  return entry.kind === "key-file"
    ? entry.scrypt === undefined
    : entry.kind === "passphrase" && scryptParametersOf(entry.scrypt) !== undefined;
}
