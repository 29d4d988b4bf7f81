/** What a head says of the moment of its writing. */
export interface HeadStamp {
  /** Of the volume; up to 2^48. */
  readonly session: number;
  /** Rises within a session each time the whole store has been synced. */
  readonly round: number;
  /** Of the key table's last record at that moment. */
  readonly tableSequence: number;
}

/** For callers that count none of it. */
export const noStamp: HeadStamp = { session: 0, round: 0, tableSequence: 0 };

/**
 * What may have become of a head, and of what it refers to, since it was written:
 *
 * - `closed`: nothing; the session ended in good order, or the store was synced since in the present one.
 * - `current`: written in the present session: all of it is there, though perhaps not on the medium.
 * - `killed`: the session was killed, but no power was lost: all that was written is there, though perhaps not on the medium.
 * - `synced`: it is on the medium; later heads, if any, may be lost or torn.
 * - `unproven`: power may have been lost before it, or what it refers to, came to the medium.
 * - `foreign`: the key table does not know of its session, or is older than the head: one of them was put back.
 */
export type HeadFate = "closed" | "current" | "killed" | "synced" | "unproven" | "foreign";

/** Told of what a file could not do, and asked about it when the file is opened again in the same session. */
export interface FileHealth {
  /** A sync has failed before: what is on the medium is unknown. */
  readonly syncFailed: boolean;
  noteSyncFailure(): void;
  /** A head of the file has been written. */
  noteHead(): void;
}

/** Of a file that nobody watches. */
export function unwatchedHealth(): FileHealth {
  let syncFailed = false;
  return {
    get syncFailed() {
      return syncFailed;
    },
    noteSyncFailure() {
      syncFailed = true;
    },
    noteHead() {},
  };
}
