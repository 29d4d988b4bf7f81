import { isSymmetricSpec, keySpecs } from "../crypto/key-specs.ts";
import type { SuiteName } from "../crypto/suite.ts";
import type { DeviceKeyChoice } from "../devices/device.ts";
import type { Devices, KeyHome } from "./devices.ts";
import { CustodyError } from "./errors.ts";
import type { CreateKeyInput, KeySpec, KeyUsage } from "./service.ts";
import type { KeyRecord } from "./state/records.ts";

const symmetricSpecs: Readonly<Record<SuiteName, KeySpec>> = { intl: "AES_256", sm: "SM4" };

export interface KeyChoice {
  readonly suite: SuiteName;
  readonly usage: KeyUsage;
  readonly spec: KeySpec;
}

/** What a key's record holds of its material. */
export type KeyMaterial = Pick<KeyRecord, "versions" | "publicKey">;

/**
 * What kind of key a request asks for. Without a spec it is the suite's symmetric one; without a suite, the spec's; without a
 * usage, the spec's only one, or `encrypt`.
 *
 * @throws {CustodyError} `INPUT_INVALID` when the three do not go together.
 */
export function chooseKey(input: Pick<CreateKeyInput, "suite" | "usage" | "spec">): KeyChoice {
  const spec = input.spec ?? symmetricSpecs[input.suite ?? "intl"];
  const { suite, usages } = keySpecs[spec];
  const only = usages.length === 1 ? usages[0] : "encrypt";
  const usage = input.usage ?? only ?? "encrypt";
  if (input.suite !== undefined && input.suite !== suite)
    throw new CustodyError("INPUT_INVALID", `a key of spec ${spec} is of suite ${suite}, not ${input.suite}`);
  if (!usages.some((each) => each === usage))
    throw new CustodyError("INPUT_INVALID", `a key of spec ${spec} is for usage ${usages.join(" or ")}, not ${usage}`);
  return { suite, usage, spec };
}

/**
 * Makes the material of a new key pair or MAC key, of which there is one version for life, with no material id. Undefined for
 * a symmetric key.
 */
export async function makeSpecifiedKey(
  devices: Devices,
  home: KeyHome,
  keyId: string,
  { suite, usage, spec }: KeyChoice,
  createdAt: string,
  existing?: DeviceKeyChoice,
): Promise<KeyMaterial | undefined> {
  if (isSymmetricSpec(spec)) return undefined;
  const { material, spki } = await devices.use(
    home,
    (device) => device.createSpecifiedKey({ keyId, version: 1, suite, spec, usage }, existing),
    "reason",
  );
  const version = { version: 1, createdAt, materialId: null, kind: "created" } as const;
  return {
    versions: [{ ...version, material: material.toString("base64") }],
    publicKey: spki?.toString("base64") ?? null,
  };
}
