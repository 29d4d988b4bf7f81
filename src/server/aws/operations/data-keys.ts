import { keyArn } from "../../../custody/arn.ts";
import type { KeySpec } from "../../../custody/service.ts";
import { type DefinedOperation, defineOperation } from "../define.ts";
import { AwsError } from "../errors.ts";
import { encryptionContext, flag, grantTokens, keyId, numberOfBytes } from "../members.ts";
import { keySpecOf } from "../vocabulary.ts";

const dataKeyMembers = {
  KeyId: { shape: keyId, required: true },
  EncryptionContext: { shape: encryptionContext, required: false },
  NumberOfBytes: { shape: numberOfBytes, required: false },
  KeySpec: { shape: { kind: "string", values: ["AES_256", "AES_128"] }, required: false },
  GrantTokens: { shape: grantTokens, required: false },
  DryRun: { shape: flag, required: false },
} as const;
const keyPairMembers = {
  KeyId: { shape: keyId, required: true },
  KeyPairSpec: {
    shape: {
      kind: "string",
      values: [
        "RSA_2048",
        "RSA_3072",
        "RSA_4096",
        "ECC_NIST_P256",
        "ECC_NIST_P384",
        "ECC_NIST_P521",
        "ECC_SECG_P256K1",
        "SM2",
        "ECC_NIST_EDWARDS25519",
        "ML_KEM_512",
        "ML_KEM_768",
        "ML_KEM_1024",
      ],
    },
    required: true,
  },
  EncryptionContext: { shape: encryptionContext, required: false },
  GrantTokens: { shape: grantTokens, required: false },
  DryRun: { shape: flag, required: false },
} as const;
const bytesOfSpec = { AES_128: 16, AES_256: 32 } as const;

export const generateDataKey: DefinedOperation = defineOperation(
  "GenerateDataKey",
  dataKeyMembers,
  async ({ custody, caller, identity, keyOrAlias }, input) => {
    const made = await custody.data.generateDataKey(caller, {
      key: keyOrAlias(input.KeyId),
      context: input.EncryptionContext ?? {},
      bytes: bytesOf(input),
    });
    return {
      CiphertextBlob: made.wrapped,
      Plaintext: made.plaintext,
      KeyId: keyArn(identity, made.keyId),
      KeyMaterialId: made.materialId,
    };
  },
);

export const generateDataKeyWithoutPlaintext: DefinedOperation = defineOperation(
  "GenerateDataKeyWithoutPlaintext",
  dataKeyMembers,
  async ({ custody, caller, identity, keyOrAlias }, input) => {
    const made = await custody.data.generateDataKeyWithoutPlaintext(caller, {
      key: keyOrAlias(input.KeyId),
      context: input.EncryptionContext ?? {},
      bytes: bytesOf(input),
    });
    return { CiphertextBlob: made.wrapped, KeyId: keyArn(identity, made.keyId), KeyMaterialId: made.materialId };
  },
);

/** Exactly one of the two says how long the key is. */
function bytesOf(input: {
  readonly NumberOfBytes?: number | undefined;
  readonly KeySpec?: keyof typeof bytesOfSpec | undefined;
}): number {
  const { NumberOfBytes: bytes, KeySpec: spec } = input;
  if (bytes !== undefined && spec === undefined) return bytes;
  if (bytes === undefined && spec !== undefined) return bytesOfSpec[spec];
  throw new AwsError("ValidationException", "Please specify either number of bytes or key spec.");
}

export const generateDataKeyPair: DefinedOperation = dataKeyPairOperation("GenerateDataKeyPair", true);

export const generateDataKeyPairWithoutPlaintext: DefinedOperation = dataKeyPairOperation(
  "GenerateDataKeyPairWithoutPlaintext",
  false,
);

function dataKeyPairOperation(
  name: "GenerateDataKeyPair" | "GenerateDataKeyPairWithoutPlaintext",
  withPlaintext: boolean,
): DefinedOperation {
  return defineOperation(name, keyPairMembers, async ({ custody, caller, identity, keyOrAlias }, input) => {
    const made = await custody.asymmetric.generateDataKeyPair(caller, {
      key: keyOrAlias(input.KeyId),
      context: input.EncryptionContext ?? {},
      spec: pairSpecOf(input.KeyPairSpec),
      withPlaintext,
    });
    return {
      PrivateKeyCiphertextBlob: made.wrapped,
      ...(withPlaintext ? { PrivateKeyPlaintext: made.privateKey } : {}),
      PublicKey: made.spki,
      KeyId: keyArn(identity, made.keyId),
      KeyPairSpec: input.KeyPairSpec,
      KeyMaterialId: made.materialId,
    };
  });
}

function pairSpecOf(name: string): KeySpec {
  const spec = keySpecOf(name);
  if (spec === undefined) throw new AwsError("UnsupportedOperationException");
  return spec;
}
