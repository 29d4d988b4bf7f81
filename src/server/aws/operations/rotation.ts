import { type DefinedOperation, defineOperation } from "../define.ts";
import { keyId } from "../members.ts";
import { page, pageOf } from "../pagination.ts";
import { optional, required } from "../shape.ts";
import { epochSeconds } from "../vocabulary.ts";

const defaultPageLength = 100;
const rotationTypes = { automatic: "AUTOMATIC", "on-demand": "ON_DEMAND" } as const;

export const enableKeyRotation: DefinedOperation = defineOperation(
  "EnableKeyRotation",
  { KeyId: required(keyId), RotationPeriodInDays: optional({ kind: "integer", min: 90, max: 2560 }) },
  async ({ custody, caller, key }, input) => {
    await custody.rotation.enable(caller, key(input.KeyId), input.RotationPeriodInDays);
    return undefined;
  },
);

export const disableKeyRotation: DefinedOperation = defineOperation(
  "DisableKeyRotation",
  { KeyId: required(keyId) },
  async ({ custody, caller, key }, input) => {
    await custody.rotation.disable(caller, key(input.KeyId));
    return undefined;
  },
);

export const getKeyRotationStatus: DefinedOperation = defineOperation(
  "GetKeyRotationStatus",
  { KeyId: required(keyId) },
  async ({ custody, caller, key }, input) => {
    const { enabled, periodDays, nextAt } = await custody.rotation.status(caller, key(input.KeyId));
    return {
      KeyId: input.KeyId,
      KeyRotationEnabled: enabled,
      RotationPeriodInDays: enabled ? periodDays : undefined,
      NextRotationDate: nextAt === null ? undefined : epochSeconds(nextAt),
    };
  },
);

export const rotateKeyOnDemand: DefinedOperation = defineOperation(
  "RotateKeyOnDemand",
  { KeyId: required(keyId) },
  async ({ custody, caller, key }, input) => {
    await custody.keys.rotate(caller, key(input.KeyId));
    return { KeyId: input.KeyId };
  },
);

export const listKeyRotations: DefinedOperation = defineOperation(
  "ListKeyRotations",
  {
    KeyId: required(keyId),
    IncludeKeyMaterial: optional({ kind: "string", values: ["ALL_KEY_MATERIAL", "ROTATIONS_ONLY"] }),
    ...page,
  },
  async ({ custody, caller, key }, input) => {
    const rotations = await custody.rotation.list(caller, key(input.KeyId));
    const newest = rotations.at(-1)?.version;
    const told = rotations.filter(
      ({ kind }) => input.IncludeKeyMaterial === "ALL_KEY_MATERIAL" || kind === "automatic" || kind === "on-demand",
    );
    const { items, more } = pageOf(told, input, ({ version }) => String(version).padStart(10, "0"), defaultPageLength);
    return {
      Rotations: items.map(({ version, materialId, at, kind }) => ({
        KeyId: input.KeyId,
        KeyMaterialId: materialId,
        KeyMaterialState: version === newest ? "CURRENT" : "NON_CURRENT",
        RotationDate: epochSeconds(at),
        RotationType: kind === "automatic" || kind === "on-demand" ? rotationTypes[kind] : undefined,
      })),
      ...more,
    };
  },
);
