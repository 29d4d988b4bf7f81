import { type DefinedOperation, defineOperation } from "../define.ts";
import { AwsError } from "../errors.ts";
import { ciphertext, keyId } from "../members.ts";
import { optional, required } from "../shape.ts";
import { epochSeconds } from "../vocabulary.ts";

const wrappingAlgorithms = [
  "RSAES_OAEP_SHA_1",
  "RSAES_OAEP_SHA_256",
  "RSA_AES_KEY_WRAP_SHA_1",
  "RSA_AES_KEY_WRAP_SHA_256",
  "SM2PKE",
] as const;

export const getParametersForImport: DefinedOperation = defineOperation(
  "GetParametersForImport",
  {
    KeyId: required(keyId),
    WrappingAlgorithm: required({ kind: "string", values: ["RSAES_PKCS1_V1_5", ...wrappingAlgorithms] }),
    WrappingKeySpec: required({ kind: "string", values: ["RSA_2048", "RSA_3072", "RSA_4096", "SM2"] }),
  },
  async ({ custody, caller, key }, input) => {
    // AWS KMS has not taken it for import since October 2023 either.
    if (input.WrappingAlgorithm === "RSAES_PKCS1_V1_5") throw new AwsError("UnsupportedOperationException");
    const { arn, spki, token, validUntil } = await custody.imports.parameters(caller, {
      key: key(input.KeyId),
      algorithm: input.WrappingAlgorithm,
      wrappingKeySpec: input.WrappingKeySpec,
    });
    return { KeyId: arn, ImportToken: token, PublicKey: spki, ParametersValidTo: epochSeconds(validUntil) };
  },
);

export const importKeyMaterial: DefinedOperation = defineOperation(
  "ImportKeyMaterial",
  {
    KeyId: required(keyId),
    ImportToken: required({ ...ciphertext, secret: true }),
    EncryptedKeyMaterial: required(ciphertext),
    ValidTo: optional({ kind: "timestamp" }),
    ExpirationModel: optional({ kind: "string", values: ["KEY_MATERIAL_EXPIRES", "KEY_MATERIAL_DOES_NOT_EXPIRE"] }),
    ImportType: optional({ kind: "string", values: ["NEW_KEY_MATERIAL", "EXISTING_KEY_MATERIAL"] }),
  },
  async ({ custody, caller, key }, input) => {
    const reference = key(input.KeyId);
    const expires = input.ExpirationModel !== "KEY_MATERIAL_DOES_NOT_EXPIRE";
    if (expires && input.ValidTo === undefined)
      throw new AwsError(
        "ValidationException",
        "A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES",
      );
    if (!expires && input.ValidTo !== undefined)
      throw new AwsError(
        "ValidationException",
        "A validTo date must not be set if the ExpirationModel is KEY_MATERIAL_DOES_NOT_EXPIRE",
      );
    // A key takes one material for life: a second one beside it is what only AWS has.
    if (input.ImportType === "NEW_KEY_MATERIAL") throw new AwsError("UnsupportedOperationException");
    const imported = await custody.imports.importMaterial(caller, {
      key: reference,
      token: input.ImportToken,
      wrapped: input.EncryptedKeyMaterial,
      expiresAt: input.ValidTo?.toISOString() ?? null,
    });
    return { KeyId: imported.arn, KeyMaterialId: imported.materialId ?? undefined };
  },
);

export const deleteImportedKeyMaterial: DefinedOperation = defineOperation(
  "DeleteImportedKeyMaterial",
  { KeyId: required(keyId) },
  async ({ custody, caller, key }, input) => ({
    KeyId: (await custody.imports.deleteMaterial(caller, key(input.KeyId))).arn,
  }),
);
