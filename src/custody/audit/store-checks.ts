import { CustodyError } from "../errors.ts";
import type { Checkpoint } from "../service.ts";
import type { Store, StoredHead } from "../store/store.ts";
import { chainStart, nextLink } from "./chain.ts";
import { checkpointIsSigned } from "./checkpoint.ts";

/**
 * At every opening: the last record must be the one that the authenticated head names.
 *
 * @throws {CustodyError} `STATE_TAMPERED`.
 */
export async function checkLastRecord(
  store: Pick<Store, "readAudit">,
  { sequence, auditHash }: StoredHead,
  hashName: "sha256" | "sm3",
): Promise<void> {
  const entries = await store.readAudit(Math.max(0, sequence - 2), 3);
  const last = entries.find((entry) => entry.sequence === sequence);
  const previous = entries.find((entry) => entry.sequence === sequence - 1)?.hash ?? chainStart;
  const fits = last !== undefined && Buffer.compare(nextLink(hashName, previous, last.body), auditHash) === 0;
  if (sequence > 0 && (!fits || entries.some((entry) => entry.sequence > sequence)))
    throw new CustodyError(
      "STATE_TAMPERED",
      `the audit chain does not end in record ${sequence}, which the store's head names`,
    );
}

/**
 * At an opening with a checkpoint: the store must be this key manager's, as new as the checkpoint, and hold its record.
 *
 * @param own - This key manager's account and its checkpoint key; what the file says of them counts for nothing.
 * @throws {CustodyError} `STATE_ROLLED_BACK`.
 */
export async function checkAgainstCheckpoint(
  checkpoint: Checkpoint,
  store: Pick<Store, "readAudit">,
  head: StoredHead,
  own: { readonly account: string; readonly publicKey: string },
): Promise<void> {
  if (checkpoint.account !== own.account || !checkpointIsSigned(checkpoint, own.publicKey))
    throw new CustodyError("STATE_ROLLED_BACK", "the checkpoint is not one that this key manager has signed");
  const behind =
    checkpoint.epoch > head.epoch || checkpoint.sequence > head.sequence || checkpoint.stateVersion > head.stateVersion;
  const [entry] = await store.readAudit(Math.max(0, checkpoint.sequence - 1), 1);
  const differs = entry === undefined || Buffer.from(entry.hash).toString("hex") !== checkpoint.head;
  if (behind || differs)
    throw new CustodyError(
      "STATE_ROLLED_BACK",
      `the store (epoch ${head.epoch}, record ${head.sequence}) is older than, or differs from, the checkpoint (epoch ${checkpoint.epoch}, record ${checkpoint.sequence})`,
    );
}
