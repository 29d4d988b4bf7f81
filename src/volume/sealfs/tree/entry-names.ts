import { timingSafeEqual } from "node:crypto";
import type { TreeKeys } from "./tree-keys.ts";

/** What an entry's name in the backing folder says, before or after it was verified. */
export interface ParsedEntryName {
  readonly shown: string;
  /** 22 base64url characters. */
  readonly fileId: string;
  readonly sequence: bigint;
}

const idChars = 22;
const sequenceChars = 11;
const macChars = 22;
const macBytes = 16;
const tailChars = 1 + idChars + sequenceChars + macChars;
const longestBackingName = 255;
const longestShown = longestBackingName - tailChars;
const sivBytes = 16;
const hashMark = "=";
const hashChars = 43;
const sidecarTail = "~name";
const tailPattern = /^~[A-Za-z0-9_-]{55}$/;
const sidecarPattern = /^=[A-Za-z0-9_-]{43}~name$/;
const newSidecarPattern = /^=[A-Za-z0-9_-]{43}~name~new$/;
/** Where messages for MACs are put together, the longest of which holds a backing name: MACs never overlap. */
const message = Buffer.alloc(512);
/** What a message begins with, so that those of different purposes differ; a folder's id follows. */
const purposes = { entry: Buffer.from("entry\0"), name: Buffer.from("name\0"), longName: Buffer.from("long name\0") };
const idBytes = 16;
const sequenceScratch = Buffer.alloc(8);

/** What a backing entry shows of its name. These three are for names that have the form of an entry. */
export function shownOf(backingName: string): string {
  return backingName.slice(0, backingName.length - tailChars);
}

export function fileIdOf(backingName: string): string {
  const end = backingName.length - macChars - sequenceChars;
  return backingName.slice(end - idChars, end);
}

export function sequenceOf(backingName: string): bigint {
  const end = backingName.length - macChars;
  return Buffer.from(backingName.slice(end - sequenceChars, end), "base64url").readBigUInt64BE();
}

/**
 * The names of a volume's backing entries:
 *
 *     shown name ‖ "~" ‖ file id (22) ‖ sequence (11) ‖ MAC (22)      (base64url of 16, 8 and 16 bytes)
 *
 * The MAC is the first 16 bytes of HMAC("entry" ‖ folder id ‖ zone id of the folder ‖ file type ‖ all before the MAC). The shown
 * name is the name itself; with encrypted names base64url(IV ‖ ciphertext), a synthetic IV (as in RFC 5297: HMAC over folder id and
 * name) and counter mode; and "=" ‖ base64url(HMAC of folder id and name) where that would be too long or begin with "=". Such a
 * name is kept, sealed, in a file beside it, the sidecar: "=" ‖ hash ‖ "~name".
 */
export class EntryNames {
  readonly #keys: TreeKeys;
  /** The name that was asked for last, and what is shown of it: one request asks several times, and a creation comes after a lookup. */
  #lastFolder: Buffer = Buffer.alloc(0);
  #lastName = "";
  #lastShown = "";

  constructor(keys: TreeKeys) {
    this.#keys = keys;
  }

  /** What the backing folder shows of a name in this folder; the same each time. */
  shown(folderId: Buffer, name: string): string {
    if (this.#keys.names === "plain" && name.length <= longestShown && !name.startsWith(hashMark)) return name;
    if (name === this.#lastName && folderId.equals(this.#lastFolder)) return this.#lastShown;
    const shown = this.#computeShown(folderId, name);
    this.#remember(folderId, name, shown);
    return shown;
  }

  #computeShown(folderId: Buffer, name: string): string {
    if (this.#keys.names === "encrypted" && Math.ceil(((sivBytes + name.length) * 4) / 3) <= longestShown) {
      const bytes = Buffer.from(name, "latin1");
      const iv = this.#syntheticIv(folderId, bytes);
      message.set(this.#keys.crypt(iv, bytes), sivBytes);
      message.set(iv);
      return message.toString("base64url", 0, sivBytes + bytes.length);
    }
    const bytes = Buffer.from(name, "latin1");
    return hashMark + this.#macOf(purposes.longName, folderId, bytes).toString("base64url");
  }

  /** True when the name itself lies in a sidecar. */
  isHashed(shown: string): boolean {
    return shown.startsWith(hashMark);
  }

  /** The name behind what is shown, which is not hashed; undefined when it is none of this folder. */
  name(folderId: Buffer, shown: string): string | undefined {
    if (this.#keys.names === "plain") return shown;
    const sealed = Buffer.from(shown, "base64url");
    if (sealed.length <= sivBytes) return undefined;
    const iv = sealed.subarray(0, sivBytes);
    const name = this.#keys.crypt(iv, sealed.subarray(sivBytes));
    if (!timingSafeEqual(iv, this.#syntheticIv(folderId, name))) return undefined;
    const text = name.toString("latin1");
    this.#remember(folderId, text, shown);
    return text;
  }

  /** The whole name of a backing entry. @param type - S_IFMT bits. */
  entryName(folderId: Buffer, zoneId: Buffer, type: number, entry: ParsedEntryName): string {
    sequenceScratch.writeBigUInt64BE(entry.sequence);
    const bound = `${entry.shown}~${entry.fileId}${sequenceScratch.toString("base64url")}`;
    return bound + this.#bindingMac(folderId, zoneId, type, bound);
  }

  /** Undefined when it has not the form of an entry. Not verified. */
  parse(backingName: string): ParsedEntryName | undefined {
    if (!this.isEntry(backingName)) return undefined;
    return { shown: shownOf(backingName), fileId: fileIdOf(backingName), sequence: sequenceOf(backingName) };
  }

  /** Whether a backing name has the form of an entry. Not verified. */
  isEntry(backingName: string): boolean {
    const tailStart = backingName.length - tailChars;
    return tailStart >= 1 && tailPattern.test(backingName.slice(tailStart));
  }

  /** Whether a name that has the form of an entry was made for this folder, zone and type. */
  verify(folderId: Buffer, zoneId: Buffer, type: number, backingName: string): boolean {
    const macStart = backingName.length - macChars;
    const expected = this.#bindingMac(folderId, zoneId, type, backingName.slice(0, macStart));
    return timingSafeEqual(Buffer.from(expected), Buffer.from(backingName.slice(macStart), "latin1"));
  }

  /** What a backing folder is marked with, to be known again: it has a MAC of its id. */
  folderMark(folderId: Buffer): Buffer {
    return this.#keys.mac(Buffer.concat([Buffer.from("folder\0"), folderId])).subarray(0, macBytes);
  }

  /** The name of a sidecar. */
  sidecarName(shown: string): string {
    return shown + sidecarTail;
  }

  /** What a file is that is no entry: a sidecar (and of which shown name), the beginning of one, or neither. */
  sidecarOf(backingName: string): string | "begun" | undefined {
    if (newSidecarPattern.test(backingName)) return "begun";
    return sidecarPattern.test(backingName) ? backingName.slice(0, hashMark.length + hashChars) : undefined;
  }

  /** The content of a sidecar. */
  sealLongName(folderId: Buffer, shown: string, name: string): Buffer {
    return this.#keys.seal(longNameContext(folderId, shown), Buffer.from(name, "latin1"));
  }

  /** Undefined when it is none of this folder and shown name. */
  openLongName(folderId: Buffer, shown: string, sealed: Buffer): string | undefined {
    return this.#keys.open(longNameContext(folderId, shown), sealed)?.toString("latin1");
  }

  /** @param folderId - Nobody changes it. */
  #remember(folderId: Buffer, name: string, shown: string): void {
    this.#lastFolder = folderId;
    this.#lastName = name;
    this.#lastShown = shown;
  }

  #syntheticIv(folderId: Buffer, name: Buffer): Buffer {
    return this.#macOf(purposes.name, folderId, name).subarray(0, sivBytes);
  }

  #macOf(purpose: Buffer, folderId: Buffer, name: Buffer): Buffer {
    const nameAt = purpose.length + idBytes;
    const length = nameAt + name.length;
    message.set(purpose);
    message.set(folderId, purpose.length);
    message.set(name, nameAt);
    return this.#keys.mac(message.subarray(0, length));
  }

  #bindingMac(folderId: Buffer, zoneId: Buffer, type: number, bound: string): string {
    if (bound.length > longestBackingName) throw new RangeError("a backing name is too long");
    message.set(purposes.entry);
    message.set(folderId, 6);
    message.set(zoneId, 22);
    message[38] = type >> 12;
    const length = 39 + message.write(bound, 39, "latin1");
    return this.#keys.mac(message.subarray(0, length)).toString("base64url", 0, macBytes);
  }
}

function longNameContext(folderId: Buffer, shown: string): Buffer {
  return Buffer.concat([Buffer.from("long name\0"), folderId, Buffer.from(shown, "latin1")]);
}
