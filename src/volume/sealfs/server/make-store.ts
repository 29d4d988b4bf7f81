import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { SecretBuffer } from "../../../crypto/secret-buffer.ts";
import { suites } from "../../../crypto/suite.ts";
import { syncFolder } from "../../../files/durable-file.ts";
import type { CreateOptions } from "../../volume.ts";
import { createKeyTable } from "../keys/open-table.ts";
import { Sm2Wrapper } from "../keys/sm2-wrapper.ts";
import type { Handover } from "./handover.ts";
import { volumeIdBytes } from "./opened-volume.ts";
import { storeNames } from "./store-names.ts";

/** Makes the store of a new volume, durably: an empty tree, and a key table without a session. */
export async function makeSealedStore(
  { store, volumeId, suite: suiteName }: Pick<Handover, "store" | "volumeId" | "suite">,
  tableKey: SecretBuffer,
  zones: CreateOptions["zones"] = {},
): Promise<void> {
  mkdirSync(store, { mode: 0o700 });
  mkdirSync(join(store, storeNames.tree), { mode: 0o700 });
  const suite = suites[suiteName];
  const { keyHolder, ...options } = zones;
  const wrapper = keyHolder === undefined ? {} : { wrapper: new Sm2Wrapper(keyHolder.publicKey) };
  const place = { folder: store, volumeId: volumeIdBytes(volumeId), suite, tableKey, ...wrapper };
  const table = await createKeyTable(place, options);
  table.close();
  syncFolder(store);
}
