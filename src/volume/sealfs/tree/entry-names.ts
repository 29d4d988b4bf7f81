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

  constructor(keys: TreeKeys) {
    this.#keys = keys;
  }

  /** What the backing folder shows of a name in this folder; the same each time. */
  shown(folderId: Buffer, name: string): string {
    const bytes = Buffer.from(name, "latin1");
    if (this.#keys.names === "plain") {
      if (name.length <= longestShown && !name.startsWith(hashMark)) return name;
    } else if (Math.ceil(((sivBytes + name.length) * 4) / 3) <= longestShown) {
      const iv = this.#syntheticIv(folderId, bytes);
      return Buffer.concat([iv, this.#keys.crypt(iv, bytes)]).toString("base64url");
    }
    return (
      hashMark + this.#keys.mac(Buffer.concat([Buffer.from("long name\0"), folderId, bytes])).toString("base64url")
    );
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
    return timingSafeEqual(iv, this.#syntheticIv(folderId, name)) ? name.toString("latin1") : undefined;
  }

  /** The whole name of a backing entry. @param type - S_IFMT bits. */
  entryName(folderId: Buffer, zoneId: Buffer, type: number, entry: ParsedEntryName): string {
    const sequence = Buffer.alloc(8);
    sequence.writeBigUInt64BE(entry.sequence);
    const bound = `${entry.shown}~${entry.fileId}${sequence.toString("base64url")}`;
    return bound + this.#bindingMac(folderId, zoneId, type, bound);
  }

  /** Undefined when it has not the form of an entry. Not verified. */
  parse(backingName: string): ParsedEntryName | undefined {
    const tailStart = backingName.length - tailChars;
    if (tailStart < 1 || !tailPattern.test(backingName.slice(tailStart))) return undefined;
    const sequenceStart = tailStart + 1 + idChars;
    const sequence = Buffer.from(backingName.slice(sequenceStart, sequenceStart + sequenceChars), "base64url");
    return {
      shown: backingName.slice(0, tailStart),
      fileId: backingName.slice(tailStart + 1, sequenceStart),
      sequence: sequence.readBigUInt64BE(),
    };
  }

  /** Whether a name that has the form of an entry was made for this folder, zone and type. */
  verify(folderId: Buffer, zoneId: Buffer, type: number, backingName: string): boolean {
    const macStart = backingName.length - macChars;
    const expected = this.#bindingMac(folderId, zoneId, type, backingName.slice(0, macStart));
    return timingSafeEqual(Buffer.from(expected), Buffer.from(backingName.slice(macStart), "latin1"));
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

  #syntheticIv(folderId: Buffer, name: Buffer): Buffer {
    return this.#keys.mac(Buffer.concat([Buffer.from("name\0"), folderId, name])).subarray(0, sivBytes);
  }

  #bindingMac(folderId: Buffer, zoneId: Buffer, type: number, bound: string): string {
    const message = Buffer.allocUnsafe(6 + 16 + 16 + 1 + bound.length);
    message.write("entry\0", 0, "latin1");
    folderId.copy(message, 6);
    zoneId.copy(message, 22);
    message[38] = type >> 12;
    message.write(bound, 39, "latin1");
    return this.#keys.mac(message).subarray(0, macBytes).toString("base64url");
  }
}

function longNameContext(folderId: Buffer, shown: string): Buffer {
  return Buffer.concat([Buffer.from("long name\0"), folderId, Buffer.from(shown, "latin1")]);
}
