import { randomUUID } from "node:crypto";
import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import { suites } from "../crypto/suite.ts";
import { writeDurably } from "../files/durable-file.ts";
import { dataKeyBytes, dataKeyContext, keyCheckValue, readWrapped } from "./data-key.ts";
import { NodeError } from "./errors.ts";
import { asRefusal, type KeyManager } from "./key-manager.ts";
import type { LoadedManifest } from "./manifest-reader.ts";
import { updateManifest, withTableFields } from "./manifest-writer.ts";

/**
 * Makes the node's data key at the key manager, stores it wrapped, and writes its id and check value into the manifest.
 * Killed half-way, it is made anew by the next call: nothing is under it before the manifest names it.
 *
 * @returns The manifest as it is now, and the data key, which the caller disposes of.
 */
export async function makeDataKey(
  loaded: LoadedManifest,
  keyManager: KeyManager,
): Promise<{ readonly loaded: LoadedManifest; readonly dataKey: SecretBuffer }> {
  const { manifest } = loaded;
  if (manifest.dataKey.check !== undefined)
    throw new NodeError("TARGET_EXISTS", `${manifest.node.name} has a data key already`);
  const context = dataKeyContext(manifest);
  const key = manifest.keyManager.masterKey;
  let plaintext: SecretBuffer;
  try {
    const { wrapped } = await keyManager.generateDataKey({ key, context, bytes: dataKeyBytes });
    writeDurably(loaded.at(manifest.dataKey.wrapped), wrapped);
    ({ plaintext } = await keyManager.unwrap({ wrapped: readWrapped(loaded), context }));
  } catch (error) {
    throw asRefusal(error);
  }
  try {
    const check = keyCheckValue(suites[manifest.dataKey.suite], plaintext);
    const fields = { id: randomUUID(), version: 1, check };
    return { loaded: updateManifest(loaded, (text) => withTableFields(text, "data_key", fields)), dataKey: plaintext };
  } catch (error) {
    plaintext[Symbol.dispose]();
    throw error;
  }
}
