import { KmsSigningKey } from "../../devices/aws-kms/signing-key.ts";
import { openKmsClient } from "../build/kms-access.ts";
import type { KmsSettings } from "../build/kms-settings.ts";
import type { SigningAlgorithm } from "../ledger/signer.ts";
import type { OpenSigner } from "./open-signer.ts";
import { lowS } from "./soft-signer.ts";

/**
 * Opens a node key that stays in a KMS: its public key is read once, each vote's digest is sent to it once.
 *
 * @throws {AwsKmsError} what the KMS refuses, `KMS_KEY_UNSUITABLE`. @throws {ChainBuildError} of the secret's file.
 */
export async function openKmsSigner(settings: KmsSettings, algorithm: SigningAlgorithm): Promise<OpenSigner> {
  using opening = new DisposableStack();
  const client = opening.use(openKmsClient(settings, settings.key));
  const key = opening.use(await KmsSigningKey.open(client, algorithm));
  const parts = opening.move();
  const { publicKey } = key;
  const sign = async (digest: Buffer) => {
    const rs = await key.sign(digest);
    // KMSes give either of s and n − s.
    return algorithm === "sm2" ? rs : lowS(rs);
  };
  return {
    signer: { algorithm, publicKey, sign },
    description: `${key.keyArn} of a KMS`,
    [Symbol.asyncDispose]: async () => parts.dispose(),
  };
}
