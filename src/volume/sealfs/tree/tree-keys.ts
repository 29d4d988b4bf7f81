import type { ZoneKeys } from "../stored-file.ts";

/** Zones are made for paths of at most so many names; a deeper folder lies in the zone of the one above it. */
export const deepestZone = 64;

/** The zone that a folder's files lie in. */
export interface TreeZone {
  /** 16 bytes, as in the keys. A plain zone has an id as well. */
  readonly zoneId: Buffer;
  /** Undefined in a plain zone: its files are stored as they are. Names, links and attributes are bound and sealed all the same. */
  readonly keys: ZoneKeys | undefined;
}

/**
 * What the tree asks of a volume's keys. Paths are the names of the folders from the root down, each as a byte string
 * (latin1); the root's path is empty. Everything here is under the volume's names key, whichever zone it is about.
 */
export interface TreeKeys {
  /** The volume's id, 16 bytes: the id of the root folder. */
  readonly rootId: Buffer;
  /** `encrypted`: the backing folder shows no names. Fixed when the volume is made. */
  readonly names: "plain" | "encrypted";

  /**
   * The zone of a folder that is there: the one made for the deepest folder at or above it. A zone whose keys were destroyed
   * is still the zone of what lies in it (its `fileCipher` fails with ENOKEY) until {@link folderRemoved}.
   * Two answers for one zone have equal `zoneId`s; the object may be another.
   */
  zoneOf(path: readonly string[]): TreeZone;
  /**
   * The zone of a folder about to be made. Where a rule matches the path, a zone of its own is made, durably, before this
   * returns, unless there is one with keys already.
   */
  zoneForNewFolder(path: readonly string[]): TreeZone;
  /** A folder is gone. Nothing happens unless a zone was made for this very path. Never fails. */
  folderRemoved(path: readonly string[]): void;
  /** True when this folder has a zone of its own, or a rule or a zone is about it or a folder below it: it cannot be renamed. */
  holdsZones(path: readonly string[]): boolean;

  /** HMAC of the suite's hash, 32 bytes. Messages of different purposes begin differently; that is the tree's care. */
  mac(message: Buffer): Buffer;
  /** Counter mode of the suite's cipher under a key of its own; its own inverse. @param iv - 16 bytes. */
  crypt(iv: Buffer, input: Buffer): Buffer;
  /** The suite's AEAD under a key of its own, random nonce. @returns `nonce (12) ‖ tag (16) ‖ ciphertext`. */
  seal(associatedData: Buffer, plaintext: Buffer): Buffer;
  /** Undefined when it is not authentic, or too short. */
  open(associatedData: Buffer, sealed: Buffer): Buffer | undefined;
}
