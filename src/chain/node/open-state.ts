import { existsSync, unlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { syncFolder } from "../../files/durable-file.ts";
import { firstStartFile } from "../build/config-writer.ts";
import type { Chain } from "../ledger/genesis.ts";
import { ChainStore, type StoreDatabase } from "./chain-store.ts";
import { ConfirmedGuard } from "./confirmed-guard.ts";
import { ChainNodeError } from "./errors.ts";
import type { GuardCounter } from "./guard-counter.ts";
import { GuardFile } from "./guard-file.ts";
import type { Log } from "./log.ts";

export interface StatePlaces {
  /** The node's folder, with `conf/first-start` as long as the node has never run. */
  readonly folder: string;
  /** Holds the guard, and the store beside it. */
  readonly dataPath: string;
}

export interface StateOptions {
  readonly chain: Chain;
  /** Of the genesis and the node's public key: the promises of one sealer say nothing about another's. */
  readonly stateDigest: Buffer;
  readonly places: StatePlaces;
  readonly counter?: GuardCounter;
  /** A guard that has had a counter goes on without it. */
  readonly withoutCounter?: boolean;
  readonly log: Log;
  openDatabase(): Promise<StoreDatabase>;
}

const guardFileName = "guard";

/**
 * Guard and store: made together for a node that has never run, else opened and compared with each other and with the counter.
 * The guard is looked at before the store is opened: a node that is refused for it leaves the store as it was.
 *
 * @param parts - What is opened goes here, also when a later step fails.
 * @throws {ChainNodeError} `GUARD_MISSING`, `GUARD_ROLLED_BACK`, `GUARD_COUNTER_MISSING`, `GUARD_DAMAGED`, `GENESIS_MISMATCH`, and what
 *   {@link ChainStore.open} and {@link ConfirmedGuard.open} throw.
 */
export async function openState(
  options: StateOptions,
  parts: AsyncDisposableStack,
): Promise<{ readonly store: ChainStore; readonly guard: ConfirmedGuard }> {
  const { chain, stateDigest, places, counter, withoutCounter, log } = options;
  const guardPath = join(places.dataPath, guardFileName);
  const openGuard = async () => {
    const file = parts.use(await GuardFile.open(guardPath, stateDigest));
    removePermit(places.folder);
    const guard = await ConfirmedGuard.open(file, {
      log,
      ...(counter === undefined ? {} : { counter }),
      ...(withoutCounter === undefined ? {} : { withoutCounter }),
    });
    return { id: file.id, guard: parts.use(guard) };
  };
  const hasGuard = existsSync(guardPath);
  if (!hasGuard) await refuseUnlessFirst(guardPath, places.folder, counter);
  const found = hasGuard ? await openGuard() : undefined;
  const database = await options.openDatabase();
  try {
    const isNew = await ChainStore.isNew(database);
    if (found === undefined && isNew) {
      // The folder may be new too: it must not be lost once the permit is gone.
      syncFolder(dirname(places.dataPath));
      GuardFile.create(guardPath, stateDigest);
    }
    const { id, guard } = found ?? (await openGuard());
    // A guard that has entries beside an empty store: the store was lost or moved away. The promises stand.
    if (isNew) await ChainStore.create(chain, database, stateDigest, id);
    const store = parts.use(await ChainStore.open(chain, database, stateDigest, { id, written: guard.written }));
    return { store, guard };
  } catch (error) {
    await database.close();
    throw error;
  }
}

/** Without a guard a node may begin only once, and only where the counter has never seen it. */
async function refuseUnlessFirst(guardPath: string, folder: string, counter: GuardCounter | undefined): Promise<void> {
  const missing = (why: string) =>
    new ChainNodeError(
      "GUARD_MISSING",
      `${guardPath} is missing: without it this node could sign two blocks at one height. ${why}`,
    );
  const stands = await counter?.read();
  if (stands !== undefined)
    throw missing(
      `The key manager's counter stands at ${stands.value}: this node has voted before. Put its newest data folder back, or give the node a new key`,
    );
  if (!existsSync(join(folder, firstStartFile)))
    throw missing(
      `Put it back, or give the node a new key. Only for a node that has never run, and nowhere else: make an empty file ${join(folder, firstStartFile)}`,
    );
}

/** From now on the guard alone says what this node may do. Gone for good before anything is signed. */
function removePermit(folder: string): void {
  const permit = join(folder, firstStartFile);
  if (!existsSync(permit)) return;
  try {
    unlinkSync(permit);
    syncFolder(dirname(permit));
  } catch (cause) {
    throw new ChainNodeError("CONFIG_UNUSABLE", `${permit} cannot be removed: ${(cause as Error).message}`, cause);
  }
}
