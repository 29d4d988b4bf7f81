/** What AWS KMS calls itself in CloudTrail. */
const kmsSource = "kms.amazonaws.com";
const ownSource = "strongroom";

/** CloudTrail has one event for a re-encryption, and policies two actions. */
const reEncrypt = { action: "kms:ReEncryptFrom", name: "ReEncrypt" } as const;

/** `kms:Decrypt` is `Decrypt` of `kms.amazonaws.com`; all that AWS does not have is of `strongroom`. */
export function nameOfAction(action: string): { readonly source: string; readonly name: string } {
  if (action === reEncrypt.action) return { source: kmsSource, name: reEncrypt.name };
  if (action.startsWith("kms:")) return { source: kmsSource, name: action.slice("kms:".length) };
  return { source: ownSource, name: action.startsWith("strongroom:") ? action.slice("strongroom:".length) : action };
}

/** The action that {@link nameOfAction} gave the name of. */
export function actionOfName(source: string, name: string): string {
  if (source === kmsSource) return name === reEncrypt.name ? reEncrypt.action : `kms:${name}`;
  return name.includes(":") ? name : `strongroom:${name}`;
}

const reading = /^(?:kms|strongroom|iam|native|aws):(?:Describe|Get|List|Read|Search|Export|Verify|Checkpoint|Who)/;

/** Uses of a key: they change nothing that the key manager keeps, and CloudTrail calls them read-only. */
const uses: ReadonlySet<string> = new Set([
  "kms:Decrypt",
  "kms:DeriveSharedSecret",
  "kms:Encrypt",
  "kms:GenerateDataKey",
  "kms:GenerateDataKeyPair",
  "kms:GenerateDataKeyPairWithoutPlaintext",
  "kms:GenerateDataKeyWithoutPlaintext",
  "kms:GenerateMac",
  "kms:GenerateRandom",
  "kms:ReEncryptFrom",
  "kms:Sign",
  "kms:Verify",
  "kms:VerifyMac",
  "strongroom:LegacyDecrypt",
]);

/** Whether the action leaves the key manager's state as it is. */
export function isReadOnly(action: string): boolean {
  return uses.has(action) || reading.test(action);
}

/** Whether the action makes, opens or uses what a key protects. */
export function isKeyUse(action: string): boolean {
  return uses.has(action) && action !== "kms:GenerateRandom";
}
