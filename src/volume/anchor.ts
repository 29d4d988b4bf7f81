import { createHash } from "node:crypto";
import { VolumeError } from "./errors.ts";

/** Where a volume's own log stands: it rises with each opening, each end, and each change of its keys. */
export interface VolumeHead {
  readonly sequence: number;
  /** Of the log's last record, 16 bytes: two copies of a volume that were used apart differ in it. */
  readonly link: Buffer;
}

/** The value of a header's parameter `anchor` that asks for one. */
export const anchoredAtKeyManager = "key-manager";

/** What of a volume is kept where its disk is not. */
export interface VolumeAnchor {
  /**
   * Compares a volume that is about to be opened.
   *
   * @throws {VolumeError} `VOLUME_ROLLED_BACK` when it is older than what was kept, or another copy of it. Errors of the client pass through.
   */
  check(volumeId: string, head: VolumeHead): Promise<void>;
  /** Keeps where the volume stands now, durable on return. Asked again, it does nothing more. @throws As {@link check}. */
  advance(volumeId: string, head: VolumeHead): Promise<void>;
}

/** Where a counter stands, and the digest of what it stands for, hex. */
interface Standing {
  readonly value: number;
  readonly stamp: string;
}

/** What is asked of a key manager's client; a KMS has no counters. */
export interface CounterClient {
  advanceCounter?(input: { name: string; previous: Standing | null; next: Standing }): Promise<Standing>;
  readCounter?(name: string): Promise<Standing | null>;
}

/** The counter's name at the key manager. */
export function anchorName(volumeId: string): string {
  return `volume/${volumeId}`;
}

/**
 * An anchor that is a counter of the node's own at its key manager: its value is the head's sequence, its stamp
 * SHA-256("strongroom/volume/anchor/v1" ‖ volume id ‖ sequence ‖ link). Only this node can advance it, and only upwards.
 *
 * @param connect - Asked once, when the anchor is used first.
 */
export function counterAnchor(connect: () => Promise<CounterClient>): VolumeAnchor {
  let connected: Promise<CounterClient> | undefined;
  const client = (): Promise<CounterClient> => {
    connected ??= connect();
    return connected;
  };
  const standing = async (volumeId: string): Promise<Standing | undefined> => {
    const { readCounter } = countersOf(await client());
    const read = await readCounter(anchorName(volumeId));
    return read === null ? undefined : { value: read.value, stamp: read.stamp };
  };
  return {
    async check(volumeId, head) {
      refuseOlder(await standing(volumeId), standingOf(volumeId, head));
    },
    async advance(volumeId, head) {
      const next = standingOf(volumeId, head);
      const previous = await standing(volumeId);
      refuseOlder(previous, next);
      if (previous?.value === next.value) return;
      const { advanceCounter } = countersOf(await client());
      try {
        await advanceCounter({ name: anchorName(volumeId), previous: previous ?? null, next });
      } catch (error) {
        if ((error as { readonly serverCode?: unknown }).serverCode !== "COUNTER_CONFLICT") throw error;
        throw new VolumeError("VOLUME_ROLLED_BACK", "another copy of the volume is in use at this moment", error);
      }
    },
  };
}

function refuseOlder(kept: Standing | undefined, found: Standing): void {
  if (kept === undefined || found.value > kept.value) return;
  if (found.value === kept.value && found.stamp === kept.stamp) return;
  throw new VolumeError(
    "VOLUME_ROLLED_BACK",
    found.value === kept.value
      ? "the volume is another copy than the one that was used last: both go back to one state, and the other has gone on"
      : `the volume is an older copy: it stands at record ${found.value}, the key manager knows of record ${kept.value}. Put the ` +
          "newer one back; to go on with this one all the same, an administrator resets the volume's counter",
  );
}

function standingOf(volumeId: string, { sequence, link }: VolumeHead): Standing {
  const stamp = createHash("sha256")
    .update(`strongroom/volume/anchor/v1\0${volumeId}\0${sequence}\0`)
    .update(link)
    .digest("hex");
  return { value: sequence, stamp };
}

function countersOf(client: CounterClient): Required<CounterClient> {
  const { advanceCounter, readCounter } = client;
  if (advanceCounter === undefined || readCounter === undefined)
    throw new VolumeError(
      "VOLUME_UNSUPPORTED",
      "the volume's anchor is kept by a Strongroom key manager; this node has a KMS, which has no counters",
    );
  return {
    advanceCounter: (input) => advanceCounter.call(client, input),
    readCounter: (name) => readCounter.call(client, name),
  };
}
