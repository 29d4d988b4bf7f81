import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { suites } from "../../crypto/suite.ts";
import { NodeError } from "../../node/errors.ts";
import { type LoadedManifest, loadManifest } from "../../node/manifest-reader.ts";
import { nodeAnchor } from "../../node/volume-anchor.ts";
import { verifiedContext } from "../../volume/driver.ts";
import { volumeStore } from "../../volume/drivers.ts";
import { placePaths } from "../../volume/place.ts";
import { connectSealfsControl } from "../../volume/sealfs/control/client.ts";
import type { SealfsControl } from "../../volume/sealfs/control/control.ts";
import { type KeysReport, keysReport } from "../../volume/sealfs/keys/keys-report.ts";
import { openKeyTable } from "../../volume/sealfs/keys/open-table.ts";
import { volumeIdBytes } from "../../volume/sealfs/server/opened-volume.ts";
import { withDataKey } from "./seal.ts";
import { volumeOf } from "./volume.ts";

const tableKeyBytes = 32;

/**
 * Lends the control of a node's sealfs volume. One that is locked is opened for it, which asks the key manager, and locked again.
 *
 * @throws {NodeError} `INPUT_INVALID` when the node has no sealfs volume; errors of volumes, key tables and the client pass through.
 */
export async function withControl<T>(where: string, use: (control: SealfsControl) => Promise<T>): Promise<T> {
  const loaded = loadManifest(where);
  const { driver, place } = await sealfsOf(loaded);
  const { state } = await driver.status(place);
  if (state === "open") return borrow(place, use);
  return withDataKey(
    where,
    async (_, dataKey) => {
      using anchor = nodeAnchor(loaded);
      const volume = await driver.open(place, dataKey, { anchor });
      try {
        return await borrow(place, use);
      } finally {
        await volume.close();
        await driver.anchor(place, dataKey, anchor);
      }
    },
    { make: false },
  );
}

/** Whether a node's sealfs volume is open at this moment. @throws {NodeError} As {@link withControl}. */
export async function isVolumeOpen(where: string): Promise<boolean> {
  const { driver, place } = await sealfsOf(loadManifest(where));
  return (await driver.status(place)).state === "open";
}

/** The zones of a node's sealfs volume: of an open one by its server, of a locked one from its key table. */
export async function keysOf(where: string): Promise<KeysReport> {
  const loaded = loadManifest(where);
  const { driver, place } = await sealfsOf(loaded);
  if ((await driver.status(place)).state === "open") return borrow(place, (control) => control.keys());
  return withDataKey(where, (_, dataKey) => keysOfLocked(place, dataKey), { make: false });
}

async function keysOfLocked(at: { readonly folder: string }, dataKey: SecretBuffer): Promise<KeysReport> {
  const place = placePaths(at);
  const { description, deriveKey } = verifiedContext(await volumeStore("sealfs"), place, dataKey);
  using tableKey = deriveKey("table-key", tableKeyBytes);
  const volumeId = volumeIdBytes(description.volumeId);
  const suite = suites[description.suite];
  using table = await openKeyTable({ folder: place.store, volumeId, suite, tableKey }, { readOnly: true });
  return keysReport(table);
}

async function borrow<T>(place: { readonly folder: string }, use: (control: SealfsControl) => Promise<T>): Promise<T> {
  await using control = await connectSealfsControl(place);
  return await use(control);
}

async function sealfsOf(loaded: LoadedManifest): ReturnType<typeof volumeOf> {
  const found = await volumeOf(loaded);
  if (found.driver.kind === "sealfs") return found;
  throw new NodeError(
    "INPUT_INVALID",
    `the volume of ${loaded.manifest.node.name} is of kind ${found.driver.kind}: only a sealfs volume has zones with keys of their own`,
  );
}
