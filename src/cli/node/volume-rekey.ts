import { connectKeyManager } from "../../node/key-manager.ts";
import { loadManifest } from "../../node/manifest-reader.ts";
import { replaceDataKey } from "../../node/replace-data-key.ts";
import { nodeAnchor } from "../../node/volume-anchor.ts";
import { type OutputOptions, printData, tell } from "../output.ts";
import { volumeOf } from "./volume.ts";

export const whatIsLeft: string =
  "a copy of the old wrapped data key and of the volume's older key table together still open what was destroyed before, for " +
  "whom the key manager releases it; let such copies expire";

/** What a re-keying has done. */
interface Rekeyed {
  readonly folder: string;
  readonly dataKeyVersion: number | undefined;
}

export async function runRekey(where: string, options: OutputOptions): Promise<void> {
  const { folder, dataKeyVersion } = await rekeyNode(where);
  printData(options, { folder, dataKeyVersion, warning: whatIsLeft }, () =>
    [`the volume ${folder} is under version ${dataKeyVersion} of the node's data key`, whatIsLeft].join("\n"),
  );
}

/** Puts a node, and its locked sealfs volume, under a new data key; interrupted, it is called again. */
export async function rekeyNode(where: string): Promise<Rekeyed> {
  const before = loadManifest(where);
  const { driver, place } = await volumeOf(before);
  const keyManager = await connectKeyManager(before);
  using anchor = nodeAnchor(before);
  try {
    const { loaded, dataKey } = await replaceDataKey(before, keyManager, (step) => tell(`step done: ${step}`), anchor);
    using newDataKey = dataKey;
    await driver.anchor(place, newDataKey, anchor);
    return { folder: place.folder, dataKeyVersion: loaded.manifest.dataKey.version };
  } finally {
    keyManager.close();
  }
}
