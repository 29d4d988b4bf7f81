import { DatabaseError } from "../errors.ts";
import { InstanceTable } from "./instance-table.ts";
import type { SubKeyOpener } from "./sub-key-envelope.ts";

/** Sub-keys by name (a shard's path, a zone's id: printable text), each in an envelope to one master key. */
export interface EnvelopeSet {
  /** `04 ‖ X ‖ Y` of the master key. */
  readonly publicKey: Buffer;
  readonly envelopes: ReadonlyMap<string, Buffer>;
}

/** A new envelope, and which one it is to take the place of. */
export interface StagedEnvelope {
  readonly envelope: Buffer;
  /** SM3 of the envelope that was opened to make this one, 32 bytes. */
  readonly replaces: Buffer;
}

/** Envelopes that are written but not yet in force. */
export interface StagedEnvelopes {
  readonly publicKey: Buffer;
  readonly envelopes: ReadonlyMap<string, StagedEnvelope>;
}

/**
 * Where the envelopes of a database's sub-keys are kept, as the change of the master key sees it. An implementation
 * - is open once at a time, until disposed of; to dispose of it twice does no harm;
 * - proves by a key of its own that what it reads is what it wrote, the staged envelopes too, or throws
 *   `ENVELOPE_TABLE_DAMAGED`: an envelope alone can be made by anyone;
 * - has each change on the disk when the call returns, and after a kill at any moment shows the state before a call or after it.
 */
export interface EnvelopeTable extends Disposable {
  /** Read from the disk at each call. */
  inForce(): EnvelopeSet;
  /** What a run that is under way, or was killed, has staged; read from the disk at each call. */
  staged(): StagedEnvelopes | undefined;
  /** Begins to stage for a master key, and drops whatever was staged. */
  startStaging(publicKey: Buffer): void;
  /** Adds to what is staged. */
  stage(envelopes: ReadonlyMap<string, StagedEnvelope>): void;
  /** In one step, what is staged is in force, and what was in force is kept as {@link previous}. */
  putStagedInForce(): void;
  /** What was in force before, until it is dropped; read from the disk at each call. */
  previous(): EnvelopeSet | undefined;
  /** Removes the envelopes to the former master key; where there are none, what a killed run has left of the change. */
  dropPrevious(): void;
}

/**
 * Opens the key table at a place; undefined when what is there is of another kind.
 *
 * @param path - A database instance's metadata.
 * @param opener - Opens the envelope of the table's own key: of the master key in force, or of the previous one while its
 *   envelopes are kept.
 * @throws {DatabaseError} `ENVELOPE_TABLE_BUSY`, `ENVELOPE_TABLE_DAMAGED`, `MASTER_KEY_MISMATCH`.
 */
export type TableKind = (path: string, opener: SubKeyOpener) => Promise<EnvelopeTable | undefined>;

/** The kinds of key tables that databases have. */
export const tableKinds: readonly TableKind[] = [(path, opener) => InstanceTable.open(path, opener)];

/**
 * Opens the key table at a place, of whichever kind it is.
 *
 * @throws {DatabaseError} `ENVELOPE_TABLE_ABSENT`, and what its kind throws.
 */
export async function openEnvelopeTable(
  path: string,
  opener: SubKeyOpener,
  kinds: readonly TableKind[] = tableKinds,
): Promise<EnvelopeTable> {
  for (const open of kinds) {
    const table = await open(path, opener);
    if (table !== undefined) return table;
  }
  throw new DatabaseError("ENVELOPE_TABLE_ABSENT", `${path} holds no key table`, {
    hint: "give the folder of a database instance: data of [database] in its strongroom.toml",
  });
}
