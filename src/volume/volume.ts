import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import type { SuiteName } from "../crypto/suite.ts";
import type { VolumeAnchor } from "./anchor.ts";
import type { KeyHolder } from "./key-holder.ts";

/** How a volume is encrypted. The names are stored in headers; a new kind adds one here and a store in drivers.ts. */
export const volumeKinds = ["fscrypt", "gocryptfs", "sealfs", "level", "native"] as const;
export type VolumeKind = (typeof volumeKinds)[number];

/** Where a volume lies: one folder that holds its header, its lock and its store, and nothing else. */
export interface VolumePlace {
  readonly folder: string;
}

/** A volume as its header describes it: public, authenticated under the data key, fixed for the volume's life. */
export interface VolumeDescription {
  readonly kind: VolumeKind;
  /** UUID, random, made at creation; every sub-key is bound to it. */
  readonly volumeId: string;
  readonly suite: SuiteName;
  /** The kind's parameters, all of them, defaults included. */
  readonly parameters: Readonly<Record<string, string>>;
}

export interface ParameterRule {
  readonly meaning: string;
  readonly default: string;
  /** What a value must match in full. */
  readonly pattern: RegExp;
}

/** How folders become zones with keys of their own (`sealfs`; docs/sealfs.md). */
export interface ZoneOptions {
  /** What folders become when they are made. @defaultValue none */
  readonly rules?: readonly { readonly pattern: string; readonly becomes: ZoneProtection }[];
  /** Of what lies in no zone of its own. @defaultValue `table-sealed` */
  readonly ownZone?: ZoneProtection;
  /** Whose master key wraps the keys of `sealed` zones; left out: the volume's own key. */
  readonly keyHolder?: KeyHolder;
}

/** `sealed`: under keys that the master key wraps; `table-sealed`: under keys that the volume's own key wraps; `plain`: as it is. */
export type ZoneProtection = "sealed" | "table-sealed" | "plain";

export interface CreateOptions {
  /** @defaultValue `intl` */
  readonly suite?: SuiteName;
  /** Values for the kind's parameters; those left out take the kind's default. */
  readonly parameters?: Readonly<Record<string, string>>;
  /** Refused (`VOLUME_PARAMETER_INVALID`) by kinds that have no zones. */
  readonly zones?: ZoneOptions;
  /** Names of the caller's own files that may lie in the place; all others refuse the creation. @defaultValue none */
  readonly besides?: readonly string[];
}

export interface OpenOptions {
  /** Who the launched program runs as; it gets the data, temporary and log folders. @defaultValue this process's user */
  readonly owner?: { readonly uid: number; readonly gid: number };
  /**
   * Keep the volume open when this process ends, until {@link VolumeDriver.close}. Without it the volume closes with
   * its owner where the kind allows (`gocryptfs`: even on SIGKILL; `fscrypt`: on an orderly end only).
   * @defaultValue `false`
   */
  readonly outliveOwner?: boolean;
  /**
   * Told what is found damaged in the store while the volume is open, in words that name no content (`sealfs`; other kinds tell
   * nobody). A program that read it got an error.
   */
  readonly onDamage?: (what: string) => void;
  /** Where the state of a volume with `anchor=key-manager` is kept; such a volume is not opened without. */
  readonly anchor?: VolumeAnchor;
  /**
   * Opens the envelopes of the volume's sealed zones (`sealfs`), asked by the volume's server, which waits: so this process must never
   * itself wait for a file of the volume, as synchronous calls on it do. Not with `outliveOwner`.
   */
  readonly keyHolder?: KeyHolder;
  /**
   * Folders whose keys cannot be opened here do not show, and nothing can be made in their places (`sealfs`): for programs that read
   * all there is when they start. @defaultValue `false`
   */
  readonly hideLocked?: boolean;
}

export interface CloseOptions {
  /** How long a volume in use may take to become free, in milliseconds. @defaultValue `2000` */
  readonly patienceMs?: number;
  /**
   * What to do with a volume that stays in use: `refuse` leaves it open and says who uses it; `cutOff` takes it away
   * from the programs that use it. @defaultValue `refuse`
   */
  readonly whenBusy?: "refuse" | "cutOff";
}

/** A key that the launched program itself needs, and how it takes it. */
export interface VolumeKey {
  /** What the program gets: already encoded as the program reads it. The volume wipes it on close. */
  readonly value: SecretBuffer;
  /** `fd`: an inherited descriptor; `file`, `fifo`: a path; `environment`: visible in /proc/PID/environ. */
  readonly channel: "fd" | "file" | "fifo" | "environment";
  /** The environment variable that holds the value (`environment`) or the path (the others), when the program reads one. */
  readonly variable?: string;
}

/** A volume while it is open. Nothing here outlives {@link close}. */
export interface OpenVolume {
  readonly description: VolumeDescription;
  /** Where the program's data folder is. */
  readonly dataPath: string;
  /** Folders on the volume for the program's temporary files and logs; absent where the kind encrypts only what the program does. */
  readonly temporaryPath?: string;
  readonly logPath?: string;
  /** Keys that the program must be given; empty where the volume is transparent. */
  readonly programKeys: readonly VolumeKey[];
  /** Settles, with the reason, if the volume stops being served while open; stays pending otherwise. */
  readonly lost: Promise<Error>;
  /**
   * Locks the volume: when this resolves, the keys are gone from the kernel and from the programs that served it.
   * Safe to call again after `VOLUME_BUSY`, and after success.
   *
   * @throws {VolumeError} `VOLUME_BUSY` with the processes that use it; the volume is then as the kind says: still open
   *   (`gocryptfs`), or closed but for the files already open (`fscrypt`).
   */
  close(options?: CloseOptions): Promise<void>;
}

/**
 * `absent`: nothing here; `incomplete`: a creation was interrupted; `locked`: only ciphertext; `open`: in use by a
 * living owner or left open on purpose; `stale`: its owner died, the next open or close mends it; `busy`: its key is
 * removed but files opened before are still in use.
 */
export type VolumeState = "absent" | "incomplete" | "locked" | "open" | "stale" | "busy";

export interface VolumeStatus {
  readonly state: VolumeState;
  /** What the header says, unauthenticated: status needs no key. */
  readonly description?: VolumeDescription;
  /** The process that holds the volume, when it is known. */
  readonly ownerPid?: number;
  readonly detail: string;
}

/** The outcome of one check, for people and `--json`. */
export interface Finding {
  readonly check: string;
  readonly ok: boolean;
  readonly detail: string;
  /** What to do, when not ok. */
  readonly remedy?: string;
}

export interface VolumeReport {
  readonly description: VolumeDescription;
  readonly findings: readonly Finding[];
  /** True when every finding is ok. */
  readonly sound: boolean;
}

/** One kind of volume. All kinds keep the same order: lock, header, key check, and only then the store. */
export interface VolumeDriver {
  readonly kind: VolumeKind;
  readonly suites: readonly SuiteName[];
  readonly parameters: Readonly<Record<string, ParameterRule>>;

  /**
   * Makes a new, locked volume. The folder is made (mode 0700) if it is missing. Killed at any point it leaves no
   * volume, and the next call starts over; on return the volume is durable.
   *
   * @throws {VolumeError} `VOLUME_EXISTS`, `VOLUME_PLACE_NOT_EMPTY`, `VOLUME_PARAMETER_INVALID`, `VOLUME_UNSUPPORTED`,
   *   `VOLUME_TOOL_MISSING`, `VOLUME_ALREADY_OPEN` (another creation is at work).
   */
  create(at: VolumePlace, dataKey: SecretBuffer, options?: CreateOptions): Promise<VolumeDescription>;

  /**
   * Opens the volume; mends what a dead owner left. A refusal changes no file.
   *
   * @throws {VolumeError} `VOLUME_WRONG_KEY`, `VOLUME_HEADER_INVALID`, `VOLUME_KIND_MISMATCH`, `VOLUME_ABSENT`,
   *   `VOLUME_INCOMPLETE`, `VOLUME_ALREADY_OPEN`, `VOLUME_STORE_DAMAGED`, `VOLUME_PLACE_NOT_EMPTY`, and as `create`; with an
   *   anchor `VOLUME_ROLLED_BACK`, and what the anchor's key manager fails with.
   */
  open(at: VolumePlace, dataKey: SecretBuffer, options?: OpenOptions): Promise<OpenVolume>;

  /** What state the volume is in; needs no key and changes nothing. @throws {VolumeError} `VOLUME_HEADER_INVALID`. */
  status(at: VolumePlace): Promise<VolumeStatus>;

  /**
   * Locks a volume that was left open: on purpose (`outliveOwner`) or by an owner that died.
   *
   * @throws {VolumeError} `VOLUME_ALREADY_OPEN` when its owner lives, `VOLUME_NOT_OPEN`, `VOLUME_BUSY`; `VOLUME_ENDED_BADLY` when the
   *   volume is locked, but its server was killed or failed at its end (`sealfs`).
   */
  close(at: VolumePlace, options?: CloseOptions): Promise<void>;

  /**
   * Advances the anchor of a locked volume to where it stands; does nothing for a volume without one. To be called after an
   * orderly end, so that a copy from before it is noticed.
   *
   * @throws {VolumeError} As `check`, and `VOLUME_ROLLED_BACK`; what the anchor's key manager fails with passes through.
   */
  anchor(at: VolumePlace, dataKey: SecretBuffer, anchor: VolumeAnchor): Promise<void>;

  /** Verifies header and store of a locked volume, as deep as the kind can. @throws {VolumeError} As `open`. */
  check(at: VolumePlace, dataKey: SecretBuffer): Promise<VolumeReport>;
}
