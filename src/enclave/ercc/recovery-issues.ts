import { type RecoveryMessage, SignedRecoveryMessageSchema } from "../messages/generated/fpc/key_dist_pb.ts";
import { readRecovery, recoveryHash } from "../protocol/recovery-form.ts";
import { type RecordReader, readRecord, recordNames, whereWellFormed } from "./records.ts";

/** Recovery shares of a generation, as an enclave issued them once. */
export interface RecoveryIssue {
  /** From 1, in the order in which the ledger took them. */
  readonly number: bigint;
  readonly message: RecoveryMessage;
  /** By which a released share names it. */
  readonly hash: Buffer;
}

/** All of a generation; none is ever replaced or taken away. */
export interface RecoveryIssues {
  /** Those that can be read: a former release took others, which are of no use, and in nobody's way. */
  readonly issues: readonly RecoveryIssue[];
  /** Of one that comes now. */
  readonly nextNumber: bigint;
}

export async function readIssues(
  state: RecordReader,
  chaincodeId: string,
  generation: bigint,
): Promise<RecoveryIssues> {
  const issues: RecoveryIssue[] = [];
  for (let number = 1n; ; number++) {
    const name = recordNames.recovery(chaincodeId, generation, number);
    const signed = await readRecord(state, name, SignedRecoveryMessageSchema);
    if (signed === undefined) return { issues, nextNumber: number };
    const message = whereWellFormed(() => readRecovery(signed));
    if (message !== undefined) issues.push({ number, message, hash: recoveryHash(signed) });
  }
}
