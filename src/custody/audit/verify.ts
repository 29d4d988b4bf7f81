import type { AuditVerdict, Checkpoint } from "../service.ts";
import type { Authenticator } from "../state/authenticator.ts";
import type { Store, StoredAuditEntry, StoredHead } from "../store/store.ts";
import { chainStart, nextLink } from "./chain.ts";
import { checkpointIsSigned } from "./checkpoint.ts";
import { decodeRecord } from "./read-record.ts";

const pageSize = 2000;

/**
 * Recomputes the whole chain and compares it with its seals, with the store's authenticated head, and with a checkpoint
 * that was kept elsewhere. Reads page by page: memory does not grow with the chain.
 *
 * Names the first record that is altered, missing, out of order, or that the head or the checkpoint contradicts.
 */
export async function verifyChain(
  store: Pick<Store, "readAudit">,
  head: StoredHead,
  authenticator: Authenticator,
  options: {
    readonly account: string;
    readonly checkpoint?: Checkpoint;
    readonly publicKey?: string;
    /** The head of this moment, while the chain may grow. @defaultValue `head` */
    readonly latest?: () => StoredHead;
  },
): Promise<AuditVerdict> {
  const { checkpoint, publicKey } = options;
  let link: Uint8Array = chainStart;
  let sequence = 0;
  const verdict = (reason?: string, at = sequence): AuditVerdict => ({
    ok: reason === undefined,
    records: sequence,
    head: Buffer.from(link).toString("hex"),
    ...(reason === undefined ? {} : { firstBad: { sequence: at, reason } }),
  });

  if (checkpoint !== undefined && publicKey !== undefined) {
    if (checkpoint.account !== options.account) return verdict("the checkpoint is of another key manager", 0);
    if (checkpoint.publicKey !== publicKey || !checkpointIsSigned(checkpoint, publicKey))
      return verdict("the checkpoint is not signed by this key manager", 0);
    if (checkpoint.sequence > head.sequence)
      return verdict(
        `the chain ends at ${head.sequence}, before the checkpoint at ${checkpoint.sequence}: records were cut off`,
        head.sequence + 1,
      );
    if (checkpoint.epoch > head.epoch)
      return verdict(
        `the store is of epoch ${head.epoch}, older than the checkpoint's ${checkpoint.epoch}: it was rolled back`,
        head.sequence,
      );
  }

  while (sequence < head.sequence) {
    const page = await store.readAudit(sequence, pageSize);
    if (page.length === 0) return verdict("the record is missing", sequence + 1);
    for (const entry of page) {
      const reason = faultOf(entry, sequence + 1, link, authenticator);
      if (reason !== undefined) return verdict(reason, sequence + 1);
      link = entry.hash;
      sequence = entry.sequence;
      if (checkpoint?.sequence === sequence && checkpoint.head !== Buffer.from(link).toString("hex"))
        return verdict("the record differs from what the checkpoint saw");
      if (sequence === head.sequence) break;
    }
  }
  if (Buffer.compare(link, head.auditHash) !== 0) return verdict("the chain does not end in the store's head");
  // Asked in this order: what was committed meanwhile is below the latest head.
  const [next] = await store.readAudit((options.latest?.() ?? head).sequence, 1);
  if (next !== undefined && next.sequence > (options.latest?.() ?? head).sequence)
    return verdict("a record follows the store's head", next.sequence);
  return verdict();
}

function faultOf(
  entry: StoredAuditEntry,
  expectedSequence: number,
  link: Uint8Array,
  authenticator: Authenticator,
): string | undefined {
  if (entry.sequence !== expectedSequence) return "the record is missing";
  if (Buffer.compare(nextLink(authenticator.hashName, link, entry.body), entry.hash) !== 0)
    return "the record was altered";
  if (decodeRecord(entry.body)?.sequence !== entry.sequence) return "the record is not in its place";
  if (entry.seal !== null && Buffer.compare(authenticator.auditSeal(entry.sequence, entry.hash), entry.seal) !== 0)
    return "the chain up to this record was rewritten: its seal does not fit";
  return undefined;
}
