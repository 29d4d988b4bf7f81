import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { SecretBuffer } from "../../../crypto/secret-buffer.ts";
import { suites } from "../../../crypto/suite.ts";
import { syncFolder } from "../../durable-file.ts";
import { chooseBlockCiphers } from "../cipher/block-ciphers.ts";
import { createKeyTable } from "../keys/open-table.ts";
import { VolumeKeys } from "../keys/volume-keys.ts";
import { CleanMark } from "./clean-mark.ts";
import type { Handover } from "./handover.ts";
import { volumeIdBytes } from "./opened-volume.ts";
import { storeNames } from "./store-names.ts";

/** Makes the store of a new volume, durably: an empty tree, a key table, and the mark of a volume that is closed in good order. */
export async function makeSealedStore(
  { store, volumeId, suite: suiteName, names }: Pick<Handover, "store" | "volumeId" | "suite" | "names">,
  tableKey: SecretBuffer,
): Promise<void> {
  mkdirSync(store, { mode: 0o700 });
  mkdirSync(join(store, storeNames.tree), { mode: 0o700 });
  const suite = suites[suiteName];
  const table = await createKeyTable({ folder: store, volumeId: volumeIdBytes(volumeId), suite, tableKey });
  using keys = new VolumeKeys(table, { names, ciphers: await chooseBlockCiphers(suite) });
  new CleanMark(join(store, storeNames.cleanMark), (message) => keys.mac(message)).set(table.head.link);
  syncFolder(store);
}
