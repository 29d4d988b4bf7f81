import { hash } from "node:crypto";
import { type Context, encodeContext } from "../../crypto/context.ts";
import type { DeviceKey, SpecifiedDeviceKey } from "../device.ts";
import { DeviceError } from "../errors.ts";

/** A master key whose box secrets are enveloped to the encryption key pair of an index. */
export interface EnvelopeMaterial {
  readonly scheme: "sm2-envelope";
  readonly keyIndex: number;
  /** X ‖ Y of the encryption key pair, hex: what the card must show. */
  readonly encryptKey: string;
  /** X ‖ Y of the signing key pair, hex. */
  readonly signKey: string;
  /** The key of the blobs' MACs, enveloped to `encryptKey`, hex. */
  readonly macKey: string;
  /** r ‖ s of the index's signing key over all of the above and the key's name, hex: only who holds the PIN can make material. */
  readonly signature: string;
}

/** A master key whose box secrets are derived under an SM4 key that only the card can unwrap. */
export interface KekMaterial {
  readonly scheme: "sm4-kek";
  readonly kekIndex: number;
  /** The SM4 key under the KEK, hex. */
  readonly wrapped: string;
  /** What the SM4 key makes of all of the above and the key's name, hex: tells another KEK, and material of another key. */
  readonly check: string;
}

/** A signing or encryption key pair of the card, used as itself. */
export interface KeyPairMaterial {
  readonly scheme: "sm2-key";
  readonly keyIndex: number;
  /** X ‖ Y, hex: what the card must show. */
  readonly publicKey: string;
}

export type SdfMaterial = EnvelopeMaterial | KekMaterial | KeyPairMaterial;

const index = /^[1-9][0-9]{0,4}$/;
const point = /^[0-9a-f]{128}$/;
/** What each scheme's members look like as text. */
const forms = {
  "sm2-envelope": {
    keyIndex: index,
    encryptKey: point,
    signKey: point,
    macKey: /^04(?:[0-9a-f]{2}){128}$/,
    signature: point,
  },
  "sm4-kek": { kekIndex: index, wrapped: /^(?:[0-9a-f]{2}){16,256}$/, check: /^[0-9a-f]{32}$/ },
  "sm2-key": { keyIndex: index, publicKey: point },
} as const satisfies Readonly<Record<SdfMaterial["scheme"], Readonly<Record<string, RegExp>>>>;

const maxMaterialBytes = 2_048;
const statementLabel = "strongroom/sdf/material/v1";

export function writeMaterial(material: SdfMaterial): Buffer {
  return Buffer.from(JSON.stringify(material));
}

/**
 * Reads a version's material; every member must be there, in its form, and no other.
 *
 * @throws {DeviceError} `KEY_DAMAGED`, also for the scheme of another kind of key.
 */
export function readMaterial<Scheme extends SdfMaterial["scheme"]>(
  { keyId, version, material }: DeviceKey,
  schemes: readonly Scheme[],
): Extract<SdfMaterial, { readonly scheme: Scheme }> {
  const damaged = (cause?: unknown) =>
    new DeviceError("KEY_DAMAGED", `key ${keyId} version ${version} names no key of a GM/T 0018 card`, cause);
  if (material.length > maxMaterialBytes) throw damaged();
  let parsed: unknown;
  try {
    parsed = JSON.parse(material.toString());
  } catch (cause) {
    throw damaged(cause);
  }
  if (typeof parsed !== "object" || parsed === null) throw damaged();
  const { scheme, ...members } = parsed as Record<string, unknown>;
  const known = schemes.find((each) => each === scheme);
  if (known === undefined) throw damaged();
  const form: Readonly<Record<string, RegExp>> = forms[known];
  if (Object.keys(members).length !== Object.keys(form).length) throw damaged();
  for (const [name, pattern] of Object.entries(form)) {
    const member = Object.hasOwn(members, name) ? members[name] : undefined;
    const isNumber = pattern === index;
    if (typeof member !== (isNumber ? "number" : "string") || !pattern.test(String(member))) throw damaged();
  }
  return parsed as Extract<SdfMaterial, { readonly scheme: Scheme }>;
}

/**
 * What the card vouches for: the key's name, and the members of its material but the one that vouches. One encoding of one
 * meaning, as `encodeContext` gives.
 */
export function statementOf(
  { keyId, version, suite }: Omit<DeviceKey, "material">,
  members: Readonly<Record<string, string | number>>,
): Buffer {
  const named: Record<string, string> = { label: statementLabel, keyId, version: String(version), suite };
  for (const [name, value] of Object.entries(members)) named[`material:${name}`] = String(value);
  return encodeContext(named);
}

/** SM3 of the key's name and a box's context, each hashed on its own: 32 bytes. */
export function boundHash({ keyId, version, suite }: Omit<DeviceKey, "material">, context: Context): Buffer {
  const key = hash("sm3", encodeContext({ keyId, version: String(version), suite }), "buffer");
  return hash("sm3", Buffer.concat([key, hash("sm3", encodeContext(context), "buffer")]), "buffer");
}

/** The error for a card that shows another key than the material says. */
export function keyChanged(key: Omit<DeviceKey, "material">, what: string): DeviceError {
  return changed(
    `key ${key.keyId} version ${key.version}: ${what}; the card's key was replaced, this is another card, or the key's record was altered`,
  );
}

/** The error for a card that shows another key than whoever opened it said. */
export function keyNotExpected(keyIndex: number): DeviceError {
  return changed(
    `key index ${keyIndex} shows another public key than is expected: is it the right index, and the right card?`,
  );
}

/** The error for a signature that the card's public key does not verify. */
export function signedWrongly(keyIndex: number): DeviceError {
  return changed(
    `key index ${keyIndex}: the card's signature does not verify with the index's public key; its key was replaced, or the card signs wrongly`,
  );
}

function changed(message: string): DeviceError {
  const failure = { kind: "integrity", code: "KEY_CHANGED", evict: false, retryable: false } as const;
  return new DeviceError("DEVICE_KEY_CHANGED", message, undefined, failure);
}

export function unsupportedUse(key: Pick<SpecifiedDeviceKey, "keyId" | "spec" | "usage">, what: string): DeviceError {
  return new DeviceError(
    "DEVICE_UNSUPPORTED",
    `key ${key.keyId}, ${key.spec} of usage ${key.usage}: a GM/T 0018 card is not for ${what}`,
  );
}
