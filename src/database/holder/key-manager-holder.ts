import { existsSync } from "node:fs";
import { basename } from "node:path";
import type { KeyManagerClient } from "../../client/client.ts";
import type { Context } from "../../crypto/context.ts";
import { publicKeyOf, scalarBytes } from "../../crypto/curve.ts";
import { CryptoError } from "../../crypto/errors.ts";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { DatabaseError } from "../errors.ts";
import { softOpener } from "../gm/sub-key-envelope.ts";
import { instancePaths } from "../instance/instance-folder.ts";
import type { EncryptionSettings } from "../settings.ts";
import { connectKeyManager } from "./key-manager-client.ts";
import { readMasterRecord, type WrappedMasterKey, writeMasterRecord } from "./master-record.ts";
import { holderOver, type OpenedKeyHolder } from "./opened-holder.ts";

export type KeyManagerSettings = Extract<EncryptionSettings, { provider: "key-manager" }>;

const purpose = "database-master-key";

/**
 * Opens the master key of the provider key-manager: an SM2 pair whose private half is a data key of the key manager's, wrapped
 * under the key that the settings name, of whatever suite and device that is. The key manager is asked once, here; envelopes
 * are then opened in this process. An instance that has none yet gets one.
 *
 * @throws {DatabaseError} `INSTANCE_DAMAGED`, `MASTER_KEY_MISMATCH`. @throws {ClientError}
 */
export async function openKeyManagerHolder(settings: KeyManagerSettings, dataFolder: string): Promise<OpenedKeyHolder> {
  using client = connectKeyManager(settings.servers, settings.identityFolder);
  const [known] = readMasterRecord(dataFolder);
  if (known !== undefined) return await unwrappedHolder(client, known);
  const { envelopeFile, masterRecordFile } = instancePaths(dataFolder);
  // Another key would open nothing of what is there.
  if (existsSync(envelopeFile))
    throw new DatabaseError("MASTER_KEY_MISMATCH", `${masterRecordFile} is missing`, {
      hint: "restore it from a backup, or name the provider that the instance's master key is with",
    });
  const { key, holder } = await makeKeyManagerKey(client, settings.masterKey);
  writeMasterRecord(dataFolder, [key]);
  return holder;
}

/**
 * The second master key of an instance, while its master key is being changed: what an interrupted change has made, else a new
 * one. It is kept durably before this resolves.
 */
export async function openNextKeyManagerHolder(
  settings: KeyManagerSettings,
  dataFolder: string,
): Promise<OpenedKeyHolder> {
  using client = connectKeyManager(settings.servers, settings.identityFolder);
  const [current, next] = readMasterRecord(dataFolder);
  if (next !== undefined) return await unwrappedHolder(client, next);
  const { key, holder } = await makeKeyManagerKey(client, settings.masterKey);
  writeMasterRecord(dataFolder, current === undefined ? [key] : [current, key]);
  return holder;
}

/** A pair whose private half the key manager has made, and has wrapped. */
async function makeKeyManagerKey(
  client: KeyManagerClient,
  masterKey: string,
): Promise<{ readonly key: WrappedMasterKey; readonly holder: OpenedKeyHolder }> {
  const { principal } = await client.whoami();
  // What a node may do with a key is bound to its own name in the context.
  const context: Context = { node: basename(principal), purpose };
  for (;;) {
    const { wrapped } = await client.generateDataKey({ key: masterKey, context, bytes: scalarBytes });
    using scalar = (await client.unwrap({ wrapped, context })).plaintext;
    const publicKey = publicKeyIfInRange(scalar);
    if (publicKey === undefined) continue;
    return { key: { publicKey, wrapped, context }, holder: holderOver(await softOpener(scalar, publicKey)) };
  }
}

async function unwrappedHolder(client: KeyManagerClient, key: WrappedMasterKey): Promise<OpenedKeyHolder> {
  const { wrapped, context, publicKey } = key;
  using scalar = (await client.unwrap({ wrapped, context })).plaintext;
  if (publicKeyIfInRange(scalar)?.equals(publicKey) !== true)
    throw new DatabaseError(
      "MASTER_KEY_MISMATCH",
      "the key manager opened another master key than the one whose public half is in instance.master",
      { hint: "restore instance.master from a backup" },
    );
  return holderOver(await softOpener(scalar, publicKey));
}

/** Random 32 bytes are out of the range of SM2's private keys once in 2^32. */
function publicKeyIfInRange(scalar: SecretBuffer): Buffer | undefined {
  try {
    return publicKeyOf("sm2", scalar);
  } catch (error) {
    if (error instanceof CryptoError) return undefined;
    throw error;
  }
}
