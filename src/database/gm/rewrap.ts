import { hash } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import { Sm2Recipient } from "../../crypto/sm2-encryption.ts";
import { DatabaseError } from "../errors.ts";
import type { EnvelopeSet, EnvelopeTable, StagedEnvelope, StagedEnvelopes } from "./envelope-table.ts";
import { isEnvelope, isSubKeyLength, type SubKeyOpener } from "./sub-key-envelope.ts";

export interface RewrapOptions {
  /** The master key that is in force. */
  readonly opener: SubKeyOpener;
  /** `04 ‖ X ‖ Y` of the master key to be. */
  readonly newPublicKey: Buffer;
  /** Called after each batch. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Called when the new envelopes are in force and have been read back, before the old ones are dropped. */
  readonly onInForce?: () => void;
  /** How many envelopes are staged at once. @defaultValue `256` */
  readonly batchEnvelopes?: number;
}

export interface RewrapReport {
  /** Sub-keys in the table. */
  readonly total: number;
  /** Those that this run has put into new envelopes. */
  readonly rewrapped: number;
  /** Those that an earlier run, which was interrupted, had done already. */
  readonly resumed: number;
}

/**
 * Puts every sub-key of a table into an envelope to another master key. The sub-keys stay, so that no data is touched.
 *
 * New envelopes are staged and read back before they take, in one step, the place of the old ones; these are dropped only when
 * what is in force then has been read back as well. A run that is killed at any moment leaves one whole set in force; the
 * next run with the same arguments goes on where it was.
 *
 * @throws {DatabaseError} `MASTER_KEY_MISMATCH` when the table is for neither key; `ENVELOPE_REFUSED` with the sub-key's name,
 *   with nothing changed; `ENVELOPE_TABLE_DAMAGED` when the table reads back something else than was written, with the old
 *   envelopes kept.
 */
export async function rewrapAll(table: EnvelopeTable, options: RewrapOptions): Promise<RewrapReport> {
  const { opener, newPublicKey } = options;
  const old = table.inForce();
  if (old.publicKey.equals(newPublicKey)) return finishEarlierRun(table, old, options);
  if (!old.publicKey.equals(opener.publicKey))
    throw new DatabaseError(
      "MASTER_KEY_MISMATCH",
      "the table's sub-keys are enveloped to another public key than --pubkey",
      {
        hint: `the table's is ${old.publicKey.toString("hex")}`,
      },
    );
  const resumed = stagedByEarlierRun(table, old, newPublicKey);
  if (resumed === undefined) table.startStaging(newPublicKey);
  const made = await stageTheRest(table, old, resumed ?? new Map(), options);
  const expected = new Map([...(resumed ?? []), ...made].map(([name, { envelope }]) => [name, envelope]));
  const staged = table.staged();
  mustHold(staged && { publicKey: staged.publicKey, envelopes: envelopesOf(staged) }, newPublicKey, expected, "staged");
  table.putStagedInForce();
  mustHold(table.inForce(), newPublicKey, expected, "in force");
  options.onInForce?.();
  table.dropPrevious();
  return { total: old.envelopes.size, rewrapped: made.size, resumed: resumed?.size ?? 0 };
}

/** Killed after the new envelopes came into force, and maybe before they were read back. */
function finishEarlierRun(table: EnvelopeTable, inForce: EnvelopeSet, { onInForce }: RewrapOptions): RewrapReport {
  for (const [name, envelope] of inForce.envelopes) if (!isEnvelope(envelope)) throw damaged("in force", name);
  onInForce?.();
  table.dropPrevious();
  return { total: inForce.envelopes.size, rewrapped: 0, resumed: inForce.envelopes.size };
}

/** Undefined when there is nothing, or anything that does not fit what is in force now: a database may have run meanwhile. */
function stagedByEarlierRun(
  table: EnvelopeTable,
  old: EnvelopeSet,
  newPublicKey: Buffer,
): ReadonlyMap<string, StagedEnvelope> | undefined {
  const staged = table.staged();
  if (!staged?.publicKey.equals(newPublicKey)) return undefined;
  for (const [name, { envelope, replaces }] of staged.envelopes) {
    const replaced = old.envelopes.get(name);
    if (replaced === undefined || !digestOf(replaced).equals(replaces) || !isEnvelope(envelope)) return undefined;
  }
  return staged.envelopes;
}

async function stageTheRest(
  table: EnvelopeTable,
  old: EnvelopeSet,
  done: ReadonlyMap<string, StagedEnvelope>,
  { opener, newPublicKey, onProgress, batchEnvelopes = 256 }: RewrapOptions,
): Promise<ReadonlyMap<string, StagedEnvelope>> {
  const recipient = new Sm2Recipient(newPublicKey);
  const made = new Map<string, StagedEnvelope>();
  let batch = new Map<string, StagedEnvelope>();
  const flush = () => {
    if (batch.size > 0) table.stage(batch);
    batch = new Map();
    onProgress?.(done.size + made.size, old.envelopes.size);
  };
  for (const [name, envelope] of old.envelopes) {
    if (done.has(name)) continue;
    const staged = await rewrapped(name, envelope, opener, recipient);
    made.set(name, staged);
    batch.set(name, staged);
    if (batch.size < batchEnvelopes) continue;
    flush();
    // So that a signal is heard.
    await setImmediate();
  }
  flush();
  return made;
}

async function rewrapped(
  name: string,
  envelope: Buffer,
  opener: SubKeyOpener,
  recipient: Sm2Recipient,
): Promise<StagedEnvelope> {
  using subKey = await opener.open(envelope);
  if (subKey === undefined || !isSubKeyLength(subKey.byteLength))
    throw new DatabaseError("ENVELOPE_REFUSED", `the envelope of sub-key ${name} does not open under the master key`, {
      hint: "nothing was changed; restore the table from a backup",
    });
  return { envelope: subKey.expose((bytes) => recipient.encrypt(bytes, "asn1")), replaces: digestOf(envelope) };
}

/** That what the table reads back is exactly what was written. */
function mustHold(
  found: EnvelopeSet | undefined,
  publicKey: Buffer,
  expected: ReadonlyMap<string, Buffer>,
  where: string,
): void {
  if (!found?.publicKey.equals(publicKey)) throw damaged(where, undefined);
  for (const [name, envelope] of expected)
    if (found.envelopes.get(name)?.equals(envelope) !== true || !isEnvelope(envelope)) throw damaged(where, name);
  if (found.envelopes.size !== expected.size) throw damaged(where, undefined);
}

function damaged(where: string, name: string | undefined): DatabaseError {
  const what = name === undefined ? "the set of envelopes" : `the envelope of sub-key ${name}`;
  return new DatabaseError("ENVELOPE_TABLE_DAMAGED", `${what} ${where} is not what was written`, {
    hint: "the former envelopes are kept; look for a failing disk",
  });
}

function envelopesOf({ envelopes }: StagedEnvelopes): ReadonlyMap<string, Buffer> {
  return new Map([...envelopes].map(([name, { envelope }]) => [name, envelope]));
}

function digestOf(envelope: Buffer): Buffer {
  return hash("sm3", envelope, "buffer");
}
