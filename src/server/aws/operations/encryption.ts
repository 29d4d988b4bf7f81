import { keyArn } from "../../../custody/arn.ts";
import type { AsymmetricEncryptionAlgorithm } from "../../../custody/contract/cryptography.ts";
import { type DefinedOperation, defineOperation } from "../define.ts";
import { AwsError } from "../errors.ts";
import { hiddenKeys } from "../hidden-keys.ts";
import { ciphertext, encryptionContext, flag, grantTokens, keyId, plaintext } from "../members.ts";
import { optional, required } from "../shape.ts";

const encryptionAlgorithm = {
  kind: "string",
  values: ["SYMMETRIC_DEFAULT", "RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256", "SM2PKE"],
} as const;

type Algorithm = "SYMMETRIC_DEFAULT" | AsymmetricEncryptionAlgorithm;

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

function contextFor(
  algorithm: Algorithm,
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
