import { keyArn } from "../../../custody/arn.ts";
import type { SigningAlgorithm } from "../../../custody/contract/cryptography.ts";
import { type DefinedOperation, defineOperation } from "../define.ts";
import { AwsError } from "../errors.ts";
import { algorithmMembers } from "../key-metadata.ts";
import { ciphertext, flag, grantTokens, keyId, message } from "../members.ts";
import { optional, required } from "../shape.ts";
import { awsKeySpec, awsKeyUsage } from "../vocabulary.ts";

const builtAlgorithms = [
  "RSASSA_PSS_SHA_256",
  "RSASSA_PSS_SHA_384",
  "RSASSA_PSS_SHA_512",
  "RSASSA_PKCS1_V1_5_SHA_256",
  "RSASSA_PKCS1_V1_5_SHA_384",
  "RSASSA_PKCS1_V1_5_SHA_512",
  "ECDSA_SHA_256",
  "ECDSA_SHA_384",
  "ECDSA_SHA_512",
  "SM2DSA",
] as const satisfies readonly SigningAlgorithm[];
const signingAlgorithm = {
  kind: "string",
  values: [...builtAlgorithms, "ML_DSA_SHAKE_256", "ED25519_SHA_512", "ED25519_PH_SHA_512"],
} as const;
const messageType = { kind: "string", values: ["RAW", "DIGEST", "EXTERNAL_MU"] } as const;

const signMembers = {
  KeyId: { shape: keyId, required: true },
  Message: { shape: message, required: true },
  MessageType: { shape: messageType, required: false },
  GrantTokens: { shape: grantTokens, required: false },
  SigningAlgorithm: { shape: signingAlgorithm, required: true },
  DryRun: { shape: flag, required: false },
} as const;

/** ECDSA and SM2 signatures are DER; nothing makes ECDSA's `s` the lower of the two. */
export const sign: DefinedOperation = defineOperation(
  "Sign",
  signMembers,
  async ({ custody, caller, identity, keyOrAlias }, input) => {
    const key = keyOrAlias(input.KeyId);
    const { keyId: id, signature } = await custody.signing.sign(caller, { key, ...toSign(input) });
    return { KeyId: keyArn(identity, id), Signature: signature, SigningAlgorithm: input.SigningAlgorithm };
  },
);

export const verify: DefinedOperation = defineOperation(
  "Verify",
  { ...signMembers, Signature: required(ciphertext) },
  async ({ custody, caller, identity, keyOrAlias }, input) => {
    const key = keyOrAlias(input.KeyId);
    const { keyId: id } = await custody.signing.verify(caller, { key, ...toSign(input), signature: input.Signature });
    return { KeyId: keyArn(identity, id), SignatureValid: true, SigningAlgorithm: input.SigningAlgorithm };
  },
);

export const getPublicKey: DefinedOperation = defineOperation(
  "GetPublicKey",
  { KeyId: required(keyId), GrantTokens: optional(grantTokens) },
  async ({ custody, caller, keyOrAlias }, input) => {
    const { arn, spec, usage, spki } = await custody.signing.publicKey(caller, keyOrAlias(input.KeyId));
    return {
      KeyId: arn,
      PublicKey: spki,
      CustomerMasterKeySpec: awsKeySpec(spec),
      KeySpec: awsKeySpec(spec),
      KeyUsage: awsKeyUsage(usage),
      ...algorithmMembers(spec, usage),
    };
  },
);

function toSign(input: {
  readonly Message: Buffer;
  readonly MessageType?: (typeof messageType.values)[number] | undefined;
  readonly SigningAlgorithm: (typeof signingAlgorithm.values)[number];
}): { message: Buffer; messageType: "raw" | "digest"; algorithm: SigningAlgorithm } {
  const algorithm = builtAlgorithms.find((each) => each === input.SigningAlgorithm);
  if (algorithm === undefined || input.MessageType === "EXTERNAL_MU")
    throw new AwsError("UnsupportedOperationException");
  return { message: input.Message, messageType: input.MessageType === "DIGEST" ? "digest" : "raw", algorithm };
}
