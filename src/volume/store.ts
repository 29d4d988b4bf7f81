import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import type { SuiteName } from "../crypto/suite.ts";
import type { VolumeHead } from "./anchor.ts";
import type { OwnerLock } from "./owner-lock.ts";
import type { PlacePaths } from "./place.ts";
import type {
  CloseOptions,
  Finding,
  OpenOptions,
  ParameterRule,
  VolumeDescription,
  VolumeKey,
  VolumeKind,
  ZoneOptions,
} from "./volume.ts";

/** What a store is given: the place, the verified description, and sub-keys on request (the caller disposes of them). */
export interface StoreContext {
  readonly place: PlacePaths;
  readonly description: VolumeDescription;
  /** What was compared with the volume's anchor: it is opened only as it stood then. */
  readonly anchored?: VolumeHead;
  deriveKey(purpose: string, bytes: number): SecretBuffer;
}

/** A store while it is open. */
export interface OpenStore {
  readonly programKeys: readonly VolumeKey[];
  readonly lost: Promise<Error>;
  close(options: Required<CloseOptions>): Promise<void>;
}

/** `closed`: nothing of it is in the kernel; `serving`: readable; `dead`: a mount without a server; `draining`: key gone, files in use. */
export type StoreState = "closed" | "serving" | "dead" | "draining";

/**
 * The part of a kind that differs: how its store is made, opened and closed. Header, lock, key check, folders and the
 * order of all these are the driver's (driver.ts).
 */
export interface VolumeStore {
  readonly kind: VolumeKind;
  readonly suites: readonly SuiteName[];
  readonly parameters: Readonly<Record<string, ParameterRule>>;
  /** True when any file under the root is encrypted, so that temporary files and logs may lie there. */
  readonly encryptsAnyFile: boolean;
  /** True when folders can be zones, with keys of their own. */
  readonly hasZones?: boolean;
  /** True when the volume can stay open after its owner has ended. */
  readonly canOutliveOwner: boolean;

  /** True when its server notes an orderly end (`noteOrderlyEnd`). */
  readonly notesOrderlyEnd?: boolean;

  /** Refuses parameter values that are right alone but wrong together. */
  checkParameters?(parameters: Readonly<Record<string, string>>): void;
  /** Makes the empty store in a claimed place. */
  make(context: StoreContext, zones?: ZoneOptions): Promise<void>;
  /** Says whether the store that the header promises is there, without a key. @throws {VolumeError} `VOLUME_STORE_DAMAGED`. */
  verifyPresence(place: PlacePaths): Promise<void>;
  /** Opens the store; a `dead` or unowned `serving` one has been shut before. */
  open(context: StoreContext, lock: OwnerLock, options: OpenOptions): Promise<OpenStore>;
  state(place: PlacePaths): Promise<StoreState>;
  /** Shuts what a dead or absent owner left in the kernel. */
  shutLeftover(place: PlacePaths, options: Required<CloseOptions>): Promise<void>;
  /** Where the store's own log stands, read and verified, also while it is open; only kinds with such a log have it. */
  head?(context: StoreContext): Promise<VolumeHead>;
  /** Checks a closed store as deep as the kind can. */
  inspect(context: StoreContext): Promise<Finding[]>;
}
