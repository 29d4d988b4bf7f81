import { keyArn } from "../../../custody/arn.ts";
import type { EncryptionAlgorithm } from "../../../custody/contract/cryptography.ts";
import type { CustodyError } from "../../../custody/errors.ts";
import { type DefinedOperation, defineOperation } from "../define.ts";
import { AwsError } from "../errors.ts";
import { hiddenKeys } from "../hidden-keys.ts";
import { ciphertext, encryptionContext, flag, grantTokens, keyId, plaintext } from "../members.ts";
import { optional, required } from "../shape.ts";

const encryptionAlgorithm = {
  kind: "string",
  values: ["SYMMETRIC_DEFAULT", "RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256", "SM2PKE"],
} as const;

/** The ciphertext of a symmetric key is a sealed box; that of a key pair is the algorithm's own. */
export const encrypt: DefinedOperation = defineOperation(
  "Encrypt",
  {
    KeyId: required(keyId),
    Plaintext: required(plaintext),
    EncryptionContext: optional(encryptionContext),
    GrantTokens: optional(grantTokens),
    EncryptionAlgorithm: optional(encryptionAlgorithm),
    DryRun: optional(flag),
  },
  async ({ custody, caller, identity, keyOrAlias }, input) => {
    const key = keyOrAlias(input.KeyId);
    const algorithm = input.EncryptionAlgorithm ?? "SYMMETRIC_DEFAULT";
    const context = contextFor(algorithm, input.EncryptionContext);
    const { Plaintext: secret } = input;
    if (algorithm === "SYMMETRIC_DEFAULT") {
      const wrapped = await custody.data.wrap(caller, { key, context, plaintext: secret });
      return {
        CiphertextBlob: wrapped.wrapped,
        KeyId: keyArn(identity, wrapped.keyId),
        EncryptionAlgorithm: algorithm,
      };
    }
    const encrypted = await custody.asymmetric.encrypt(caller, { key, algorithm, plaintext: secret });
    return {
      CiphertextBlob: encrypted.ciphertext,
      KeyId: keyArn(identity, encrypted.keyId),
      EncryptionAlgorithm: algorithm,
    };
  },
);

export const decrypt: DefinedOperation = defineOperation(
  "Decrypt",
  {
    CiphertextBlob: required(ciphertext),
    EncryptionContext: optional(encryptionContext),
    GrantTokens: optional(grantTokens),
    KeyId: optional(keyId),
    EncryptionAlgorithm: optional(encryptionAlgorithm),
    DryRun: optional(flag),
  },
  async (request, input) => {
    const { custody, caller, identity, keyOrAlias } = request;
    const key = input.KeyId === undefined ? undefined : keyOrAlias(input.KeyId);
    const algorithm = input.EncryptionAlgorithm ?? "SYMMETRIC_DEFAULT";
    const context = contextFor(algorithm, input.EncryptionContext);
    if (algorithm === "SYMMETRIC_DEFAULT") {
      const opening = custody.data.unwrap(caller, {
        wrapped: input.CiphertextBlob,
        context,
        ...(key === undefined ? {} : { key }),
      });
      const opened = await (key === undefined ? hiddenKeys(request, opening) : opening);
      return {
        KeyId: keyArn(identity, opened.keyId),
        Plaintext: opened.plaintext,
        EncryptionAlgorithm: algorithm,
        KeyMaterialId: opened.materialId,
      };
    }
    const decrypted = await custody.asymmetric.decrypt(caller, {
      key: needed(key),
      algorithm,
      ciphertext: input.CiphertextBlob,
    });
    return {
      KeyId: keyArn(identity, decrypted.keyId),
      Plaintext: decrypted.plaintext,
      EncryptionAlgorithm: algorithm,
    };
  },
);

export const reEncrypt: DefinedOperation = defineOperation(
  "ReEncrypt",
  {
    CiphertextBlob: required(ciphertext),
    SourceEncryptionContext: optional(encryptionContext),
    SourceKeyId: optional(keyId),
    DestinationKeyId: required(keyId),
    DestinationEncryptionContext: optional(encryptionContext),
    SourceEncryptionAlgorithm: optional(encryptionAlgorithm),
    DestinationEncryptionAlgorithm: optional(encryptionAlgorithm),
    GrantTokens: optional(grantTokens),
    DryRun: optional(flag),
  },
  async (request, input) => {
    const { custody, caller, identity, keyOrAlias } = request;
    const source = input.SourceKeyId === undefined ? undefined : keyOrAlias(input.SourceKeyId);
    const destination = keyOrAlias(input.DestinationKeyId);
    const from = input.SourceEncryptionAlgorithm ?? "SYMMETRIC_DEFAULT";
    const to = input.DestinationEncryptionAlgorithm ?? "SYMMETRIC_DEFAULT";
    if (from !== "SYMMETRIC_DEFAULT") needed(source);
    const moving = custody.reencryption.reencrypt(caller, {
      ciphertext: input.CiphertextBlob,
      from: {
        ...(source === undefined ? {} : { key: source }),
        algorithm: from,
        context: contextFor(from, input.SourceEncryptionContext),
      },
      to: { key: destination, algorithm: to, context: contextFor(to, input.DestinationEncryptionContext) },
    });
    const moved = await (source === undefined ? hiddenKeys(request, moving, isOfSource(destination)) : moving);
    return {
      CiphertextBlob: moved.ciphertext,
      SourceKeyId: keyArn(identity, moved.fromKeyId),
      KeyId: keyArn(identity, moved.toKeyId),
      SourceEncryptionAlgorithm: from,
      DestinationEncryptionAlgorithm: to,
      SourceKeyMaterialId: moved.fromMaterialId,
      DestinationKeyMaterialId: moved.toMaterialId,
    };
  },
);

/** The caller named the destination: what is wrong with it may be told. */
function isOfSource(destination: string): (error: CustodyError) => boolean {
  return ({ facts: { action, reference, keyId } }) =>
    action === "kms:ReEncryptFrom" ||
    (action !== "kms:ReEncryptTo" &&
      reference !== destination &&
      (keyId === undefined || !destination.endsWith(keyId)));
}

function contextFor(
  algorithm: EncryptionAlgorithm,
  context: Readonly<Record<string, string>> = {},
): Readonly<Record<string, string>> {
  if (algorithm !== "SYMMETRIC_DEFAULT" && Object.keys(context).length > 0)
    throw new AwsError("ValidationException", "EncryptionContext is only supported for symmetric encryption keys.");
  return context;
}

/** The ciphertext of a key pair does not say whose it is. */
function needed(key: string | undefined): string {
  if (key === undefined)
    throw new AwsError("ValidationException", "KeyId is required for a ciphertext of an asymmetric KMS key.");
  return key;
}
