import { resolve } from "node:path";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { releaseDataKey } from "../../node/data-key.ts";
import { NodeError } from "../../node/errors.ts";
import { enodeUrl } from "../../node/key-formats/ec-identity.ts";
import { connectKeyManager } from "../../node/key-manager.ts";
import { makeDataKey } from "../../node/make-data-key.ts";
import { type LoadedManifest, loadManifest } from "../../node/manifest-reader.ts";
import { replaceKey } from "../../node/replace.ts";
import { type SealOptions, sealFile } from "../../node/seal.ts";
import { storageSecurityBlock } from "../../node/storage-security.ts";
import { sealedEntry, unsealInPlace, unsealTo } from "../../node/unseal.ts";
import { type OutputOptions, printData, tell } from "../output.ts";

/** Runs with the node's data key, which is made first when there is none yet. */
export async function withDataKey<T>(
  where: string,
  use: (loaded: LoadedManifest, dataKey: SecretBuffer) => T | Promise<T>,
  { make = true }: { make?: boolean } = {},
): Promise<T> {
  const loaded = loadManifest(where);
  if (loaded.manifest.node.protection === "none")
    throw new NodeError("INPUT_INVALID", `${loaded.manifest.node.name} is not protected: it has no data key`, {
      hint: "take node.protection out of the manifest, add [key_manager] and [identity], and enroll it",
    });
  const keyManager = await connectKeyManager(loaded);
  try {
    if (loaded.manifest.dataKey.check === undefined && make) {
      const made = await makeDataKey(loaded, keyManager);
      tell(
        `the data key of ${loaded.manifest.node.name} was made; ${made.loaded.at(made.loaded.manifest.dataKey.wrapped)} holds it wrapped`,
      );
      using dataKey = made.dataKey;
      return await use(made.loaded, dataKey);
    }
    using dataKey = await releaseDataKey(loaded, keyManager);
    return await use(loaded, dataKey);
  } finally {
    keyManager.close();
  }
}

export async function runSeal(
  node: string,
  files: readonly string[],
  options: SealOptions & OutputOptions & { readonly replace?: string },
): Promise<void> {
  const { replace } = options;
  if (files.length > 1 && (options.name !== undefined || replace !== undefined))
    throw new NodeError("INPUT_INVALID", "--name and --replace are for one file; seal the files one by one");
  await withDataKey(node, (first, dataKey) => {
    let loaded = first;
    const sealed = files.map((file) => {
      const outcome =
        replace === undefined ? sealFile(loaded, dataKey, file, options) : replaceKey(loaded, dataKey, replace, file);
      loaded = outcome.loaded;
      const { entry, identity } = outcome;
      const { address } = loaded.manifest.node;
      const enode = address === undefined ? undefined : enodeUrl(identity, address);
      return {
        name: entry.name,
        file: resolve(file),
        sealed: loaded.at(entry.sealed),
        handover: entry.handover,
        version: entry.version,
        ...identity,
        enode,
      };
    });
    const block = storageSecurityBlock(loaded);
    printData(options, { sealed, storageSecurity: block }, () =>
      [
        ...sealed.map(
          (file) =>
            `${file.name}: sealed in ${file.sealed}\n  ${file.enode ?? file.nodeId ?? file.fingerprint ?? "no public identity"}`,
        ),
        ...(block === undefined
          ? []
          : ["", "for the node's config.ini (v3; v2 takes key_manager_ip and key_manager_port):", block]),
      ].join("\n"),
    );
  });
}

export async function runUnseal(node: string, file: string, options: { out?: string; restore?: true }): Promise<void> {
  const { out, restore } = options;
  if (out === undefined && restore === undefined)
    throw new NodeError("INPUT_INVALID", "say where the plain key goes: --out FILE, or --restore");
  await withDataKey(
    node,
    (loaded, dataKey) => {
      const entry = sealedEntry(loaded, file);
      if (out === undefined) unsealInPlace(loaded, dataKey, entry);
      else unsealTo(loaded, dataKey, entry, out);
      tell(`${entry.name} is plain in ${out ?? loaded.at(entry.path)}`);
    },
    { make: false },
  );
}
