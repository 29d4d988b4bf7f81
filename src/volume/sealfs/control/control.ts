import type { KeysReport } from "../keys/keys-report.ts";
import type { EnvelopedKey, RekeyFinish, RekeyProgress } from "../keys/rekey.ts";
import type { ZoneRule } from "../keys/rules.ts";

/** How far the sealing anew of what lies under older generations has come. */
export interface ResealingProgress {
  /** `idle`: nothing lies under an older generation, as far as has been counted. */
  readonly state: "idle" | "counting" | "resealing" | "paused";
  readonly doneBytes: number;
  readonly totalBytes: number;
  /** The most that is sealed anew in a second. */
  readonly bytesPerSecond: number;
}

/** What the server of a volume has found wrong since it started. */
export interface ServerFindings {
  /** How many, the repeated ones too. */
  readonly count: number;
  /** The latest, each once, newest last; at most 100. */
  readonly latest: readonly string[];
}

/**
 * What can be asked of a sealfs volume while it is served. Zones are named by their folder's path from the volume's root,
 * names joined by "/", "" for the volume's own zone.
 *
 * Every change is durable when it resolves. All reject with a {@link KeyTableError}'s code, or `VOLUME_NOT_OPEN` when nobody serves.
 */
export interface SealfsControl extends AsyncDisposable {
  /** Zones and generations, with the bytes sealed under each where they have been counted. */
  keys(): Promise<KeysReport>;
  rules(): Promise<readonly ZoneRule[]>;
  /** Zones that were made stay what they are. */
  setRules(rules: readonly ZoneRule[]): Promise<void>;
  /** Begins a new generation of a zone, and the sealing anew of what lies under the older ones. */
  rotate(zone: string): Promise<{ readonly generation: number }>;
  resealing(): Promise<ResealingProgress>;
  /** @param bytesPerSecond - 0 pauses. */
  setResealingRate(bytesPerSecond: number): Promise<void>;
  /** Checks that nothing lies under an older generation of the zone, reading every block, and destroys its key. */
  destroyGeneration(zone: string, generation: number): Promise<void>;
  /** Destroys a zone's keys; its open files answer ENOKEY. */
  destroyZone(zone: string): Promise<void>;
  /** Removes the zones whose folders are gone, with their keys. @returns Their paths. */
  sweep(): Promise<readonly string[]>;
  /** Makes all that was written durable, as syncfs. */
  sync(): Promise<void>;
  findings(): Promise<ServerFindings>;

  /** Begins (or goes on) to wrap the keys of sealed zones for another SM2 master key, `04 ‖ X ‖ Y`. */
  beginRekey(publicKey: Buffer): Promise<RekeyProgress>;
  /** Keys without a new envelope, in their old ones. */
  waitingKeys(most: number): Promise<readonly EnvelopedKey[]>;
  /** New envelopes of waiting keys. */
  stageKeys(made: readonly EnvelopedKey[]): Promise<RekeyProgress>;
  stagedKeys(): Promise<readonly EnvelopedKey[]>;
  /** Puts the new envelopes in force; whoever unwraps for the server must hold the new master key from before this call on. */
  finishRekey(options: RekeyFinish): Promise<void>;
  dropPrevious(): Promise<void>;
}
