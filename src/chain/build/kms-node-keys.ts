import { join } from "node:path";
import { nodeIdOf } from "../../crypto/curve.ts";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { AwsKmsError } from "../../devices/aws-kms/errors.ts";
import { checkSettings, type SettingNames } from "../../devices/aws-kms/settings.ts";
import { type KmsSigningCurve, KmsSigningKey } from "../../devices/aws-kms/signing-key.ts";
import { writeNewFile } from "../../node/file-steps.ts";
import { pemOf, subjectPublicKeyInfo } from "./certificate.ts";
import { ChainBuildError } from "./errors.ts";
import { openKmsClient, readCaFile } from "./kms-access.ts";
import { awsSettings, type KmsAccess } from "./kms-settings.ts";
import type { NewNodeKey } from "./node-key-folder.ts";

/** A node's key as the KMS showed it. */
export interface KmsNodeKey {
  /** With which access key the node asks for signatures: best one of its own, that may do nothing else. */
  readonly access: KmsAccess;
  readonly keyArn: string;
  /** `04 ‖ X ‖ Y`. */
  readonly publicKey: Buffer;
}

/** In the node's folder. */
export const kmsFileNames = { secret: "conf/kms_secret", ca: "conf/kms_ca.crt" } as const;

const namesOfOptions: SettingNames = {
  region: "--kms-region",
  apiKey: "--kms-access-key-id",
  masterKey: "each of --kms-keys",
  endpoint: "--kms-url",
  caPem: "--kms-ca-file",
};

/**
 * Asks the KMS for the public key of each node's key, one after the other, each with the access key that the node will use.
 *
 * @param keys - In the order of the nodes; `name`: key id, ARN or alias.
 * @throws {ChainBuildError} `OPTION_INVALID`; `NODE_KEYS_INVALID` for a key twice; of the files. @throws {AwsKmsError}
 */
export async function readKmsNodeKeys(
  keys: readonly { readonly name: string; readonly access: KmsAccess }[],
  curve: KmsSigningCurve,
): Promise<KmsNodeKey[]> {
  for (const { name, access } of keys) checkAccess(access, name);
  const shown: KmsNodeKey[] = [];
  for (const { name, access } of keys) {
    using client = openKmsClient(access, name);
    using key = await KmsSigningKey.open(client, curve);
    const { keyArn, publicKey } = key;
    const same = shown.findIndex((each) => each.keyArn === keyArn || each.publicKey.equals(publicKey));
    if (same >= 0)
      throw new ChainBuildError("NODE_KEYS_INVALID", `${keys[same]?.name} and ${name} are the same key: ${keyArn}`);
    shown.push({ access, keyArn, publicKey });
  }
  return shown;
}

function checkAccess(access: KmsAccess, name: string): void {
  try {
    const caPem = access.caFile === undefined ? undefined : readCaFile(access.caFile);
    checkSettings(awsSettings(access, name, caPem), namesOfOptions);
  } catch (cause) {
    if (!(cause instanceof AwsKmsError)) throw cause;
    throw new ChainBuildError("OPTION_INVALID", cause.message, { cause });
  }
}

/** What goes into node.pem: the public keys alone. */
export function newKmsNodeKeys(curve: KmsSigningCurve, keys: readonly KmsNodeKey[], nodes: number): NewNodeKey[] {
  if (keys.length !== nodes) throw new RangeError(`there are ${keys.length} keys for ${nodes} nodes`);
  return keys.map(({ publicKey }) => ({
    nodeId: nodeIdOf(publicKey),
    pem: pemOf("PUBLIC KEY", subjectPublicKeyInfo(curve, publicKey)),
  }));
}

/** Each node's own copy of what opens the KMS: its folder goes to another machine. */
export function writeKmsFiles(nodeFolder: string, { caFile }: KmsAccess, secret: SecretBuffer): void {
  secret.expose((bytes) => writeNewFile(join(nodeFolder, kmsFileNames.secret), bytes, 0o600));
  if (caFile !== undefined)
    writeNewFile(join(nodeFolder, kmsFileNames.ca), Buffer.from(readCaFile(caFile), "latin1"), 0o644);
}
