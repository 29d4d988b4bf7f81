import { BinaryReader, BinaryWriter } from "../ledger/binary.ts";
import { LedgerError } from "../ledger/errors.ts";
import { hashBytes } from "../ledger/suite.ts";
import { maxFrameBytes } from "./limits.ts";
import { type Phase, phaseCodes, type UnsignedVote } from "./vote.ts";

/**
 * What must be durable before the vote it names is signed. Records are appended; a record of a height may be dropped only
 * when the block of that height is durable in the store.
 */
export interface GuardRecord extends UnsignedVote {
  /**
   * With a commit vote: the block that was prepared and the prepare votes that prove it, encoded. A replica that forgot them
   * could help a later view to another block at the same height.
   */
  readonly prepared?: Buffer;
}

const version = 1;

/** version 01 ‖ height (8) ‖ view (4) ‖ phase (1) ‖ digest (32) ‖ prepared block, its length before it (0: none). */
export function encodeGuardRecord(record: GuardRecord): Buffer {
  return new BinaryWriter()
    .u8(version)
    .u64(record.height)
    .u32(record.view)
    .u8(phaseCodes[record.phase])
    .fixed(record.digest)
    .bytes(record.prepared ?? Buffer.alloc(0))
    .end();
}

/** @throws {LedgerError} `GUARD_DAMAGED`: a node whose guard can't be read must not sign. */
export function decodeGuardRecord(encoded: Buffer): GuardRecord {
  const reader = new BinaryReader(encoded, "the guard's record");
  try {
    if (reader.u8() !== version) throw reader.invalid("has an unknown version");
    const slot = { height: reader.u64(), view: reader.u32(), phase: phaseOf(reader) };
    const digest = reader.fixed(hashBytes);
    const prepared = reader.bytes(maxFrameBytes);
    reader.end();
    if (prepared.length > 0 !== (slot.phase === "commit")) throw reader.invalid("lacks what its phase asks for");
    return { ...slot, digest, ...(prepared.length > 0 && { prepared }) };
  } catch (cause) {
    throw new LedgerError(
      "GUARD_DAMAGED",
      "a record of the double-sign guard can't be read: this node must not sign",
      cause,
    );
  }
}

function phaseOf(reader: BinaryReader): Phase {
  const code = reader.u8();
  for (const phase of ["pre-prepare", "prepare", "commit", "view-change"] as const)
    if (phaseCodes[phase] === code) return phase;
  throw reader.invalid("names an unknown phase");
}
