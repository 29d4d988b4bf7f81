import { fstatSync, lstatSync, readlinkSync, statSync, symlinkSync, unlinkSync } from "node:fs";
import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import { handOverKey, type KeyHandover } from "../volume/key-handover.ts";
import type { VolumeKey } from "../volume/volume.ts";
import { NodeError } from "./errors.ts";
import type { KeystoreFolder } from "./keystore-folder.ts";
import { pauseUnlessStopped } from "./lease.ts";
import type { SealedFileEntry } from "./manifest.ts";

/** A key to hand over: a sealed file's plaintext under its name, or the volume's own key as `volume`. */
export interface KeyToHandOver {
  readonly name: string;
  readonly key: VolumeKey;
  readonly reads: number;
  /** Where a symbolic link to the key stands while the program runs. */
  readonly linkPath?: string;
  /** The file's name in the program's keystore folder, for a key that is handed over there. */
  readonly keystoreName?: string;
}

interface GivenKey {
  readonly name: string;
  readonly handover: KeyHandover;
  /** Its number in the program. */
  readonly fd?: number;
  /** Access time before the program was started; undefined when reads are told in another way. */
  readonly unreadMs: number | undefined;
}

/** The first descriptor after standard input, output and error. */
const firstFd = 3;
const pollMs = 100;

/**
 * Keys on their way into one program. A descriptor is an unlinked inode on tmpfs: a program may read it as N, or open it
 * as `/dev/fd/N` as often as it likes until it is wiped (a pipe of Node's would be a socket, which cannot be opened).
 */
export class Handover {
  readonly #given: readonly GivenKey[];
  readonly #links: readonly string[];
  readonly #accounts: ReadonlyMap<string, string>;
  readonly #keystore: KeystoreFolder | undefined;
  #keysWiped = false;
  #wiped = false;

  private constructor(
    given: readonly GivenKey[],
    links: readonly string[],
    accounts: ReadonlyMap<string, string>,
    keystore: KeystoreFolder | undefined,
  ) {
    this.#given = given;
    this.#links = links;
    this.#accounts = accounts;
    this.#keystore = keystore;
  }

  /** Readies the keys; what was readied is wiped again if one fails. */
  static async ready(keys: readonly KeyToHandOver[]): Promise<Handover> {
    const given: GivenKey[] = [];
    const links: string[] = [];
    const accounts = new Map<string, string>();
    let keystore: KeystoreFolder | undefined;
    let nextFd = firstFd;
    try {
      for (const { name, key, reads, linkPath, keystoreName } of keys) {
        if (keystoreName !== undefined) {
          keystore ??= new (await import("./keystore-folder.ts")).KeystoreFolder();
          accounts.set(name, keystore.add(keystoreName, key.value));
          continue;
        }
        const handover = await handOverKey(key, reads);
        given.push({
          name,
          handover,
          unreadMs: accessTimeMs(handover),
          ...(handover.fd === undefined ? {} : { fd: nextFd++ }),
        });
        if (linkPath === undefined || handover.path === undefined) continue;
        placeLink(linkPath, handover.path);
        links.push(linkPath);
      }
      return new Handover(given, links, accounts, keystore);
    } catch (error) {
      new Handover(given, links, accounts, keystore).wipe();
      throw error;
    }
  }

  /** What follows standard input, output and error in the child's `stdio`. */
  get descriptors(): readonly number[] {
    return this.#given.flatMap(({ handover }) => (handover.fd === undefined ? [] : [handover.fd]));
  }

  /** The path by which the program opens the key. */
  path(name: string): string | undefined {
    const account = this.#accounts.get(name);
    if (account !== undefined) return account;
    const found = this.#given.find((key) => key.name === name);
    return found?.fd === undefined ? found?.handover.path : `/dev/fd/${found.fd}`;
  }

  /** The folder of the keys that are handed over as `keystore`. */
  get keystore(): string | undefined {
    return this.#keystore?.path;
  }

  fd(name: string): number | undefined {
    return this.#given.find((key) => key.name === name)?.fd;
  }

  /** Adds the variables by which volume keys are named to the program. */
  addTo(environment: Record<string, string>): void {
    for (const { handover, fd } of this.#given) handover.addTo(environment, fd);
  }

  /**
   * Wipes each key once it has been read: a FIFO after its last agreed read; a descriptor or file `settleMs` after the
   * first read (programs open a key more than once), seen by its access time; all of them `latestMs` after the call. The
   * keystore stays: a program reads it at each unlock.
   */
  async wipeOnceRead(settleMs: number, latestMs: number, stopped: AbortSignal): Promise<void> {
    const latest = Date.now() + latestMs;
    await Promise.all(
      this.#given.map(async ({ handover, unreadMs }) => {
        if (unreadMs === undefined) {
          const read = new AbortController();
          const done = () => read.abort();
          handover.read.then(done, done);
          await pauseUnlessStopped(latestMs, AbortSignal.any([stopped, read.signal]));
        } else {
          while (!stopped.aborted && Date.now() < latest && accessTimeMs(handover) === unreadMs)
            await pauseUnlessStopped(pollMs, stopped);
          await pauseUnlessStopped(Math.min(settleMs, Math.max(0, latest - Date.now())), stopped);
        }
        handover.wipe();
      }),
    );
    this.#wipeKeys();
  }

  /** Overwrites and removes everything at once. Safe to call twice. */
  wipe(): void {
    this.#wipeKeys();
    if (this.#wiped) return;
    this.#wiped = true;
    this.#keystore?.wipe();
  }

  #wipeKeys(): void {
    if (this.#keysWiped) return;
    this.#keysWiped = true;
    for (const { handover } of this.#given) handover.wipe();
    for (const link of this.#links) removeLink(link);
  }
}

/** A sealed file's plaintext as it is handed over. */
export function sealedFileKey(entry: SealedFileEntry, plaintext: SecretBuffer): VolumeKey {
  const channel = entry.handover === "fifo" ? "fifo" : entry.handover === "tmpfs-file" ? "file" : "fd";
  return { value: plaintext, channel };
}

/** When the inode was last read; undefined for a FIFO (it tells by itself) and an environment variable. */
function accessTimeMs(handover: KeyHandover): number | undefined {
  try {
    const stats = handover.fd === undefined ? handover.path && statSync(handover.path) : fstatSync(handover.fd);
    return stats ? (stats.isFIFO() ? undefined : stats.atimeMs) : undefined;
  } catch {
    return undefined;
  }
}

/** Puts a link where the program looks. A link that an earlier launch left behind is replaced; anything else is not. */
function placeLink(linkPath: string, target: string): void {
  const there = lstatSync(linkPath, { throwIfNoEntry: false });
  if (there?.isSymbolicLink() && /\/strongroom-[^/]+\/key$/.test(readlinkSync(linkPath))) unlinkSync(linkPath);
  else if (there !== undefined)
    throw new NodeError("TARGET_EXISTS", `${linkPath} exists, so no link to the sealed key can stand there`, {
      hint: "seal that file, or move it away",
    });
  symlinkSync(target, linkPath);
}

function removeLink(linkPath: string): void {
  if (lstatSync(linkPath, { throwIfNoEntry: false })?.isSymbolicLink()) unlinkSync(linkPath);
}
