import { keyArn } from "../../../custody/arn.ts";
import { type DefinedOperation, defineOperation } from "../define.ts";
import { ciphertext, flag, grantTokens, keyId, message } from "../members.ts";
import { required } from "../shape.ts";

/** AWS's own, and Strongroom's HMAC with SM3. */
const macAlgorithm = {
  kind: "string",
  values: ["HMAC_SHA_224", "HMAC_SHA_256", "HMAC_SHA_384", "HMAC_SHA_512", "HMAC_SM3"],
} as const;

const macMembers = {
  KeyId: { shape: keyId, required: true },
  Message: { shape: message, required: true },
  MacAlgorithm: { shape: macAlgorithm, required: true },
  GrantTokens: { shape: grantTokens, required: false },
  DryRun: { shape: flag, required: false },
} as const;

export const generateMac: DefinedOperation = defineOperation(
  "GenerateMac",
  macMembers,
  async ({ custody, caller, identity, keyOrAlias }, input) => {
    const { Message: bytes, MacAlgorithm: algorithm } = input;
    const made = await custody.macs.generate(caller, { key: keyOrAlias(input.KeyId), message: bytes, algorithm });
    return { KeyId: keyArn(identity, made.keyId), Mac: made.mac, MacAlgorithm: algorithm };
  },
);

export const verifyMac: DefinedOperation = defineOperation(
  "VerifyMac",
  { ...macMembers, Mac: required(ciphertext) },
  async ({ custody, caller, identity, keyOrAlias }, input) => {
    const { Message: bytes, MacAlgorithm: algorithm, Mac: mac } = input;
    const verified = await custody.macs.verify(caller, {
      key: keyOrAlias(input.KeyId),
      message: bytes,
      algorithm,
      mac,
    });
    return { KeyId: keyArn(identity, verified.keyId), MacValid: true, MacAlgorithm: algorithm };
  },
);
