import { z } from "zod";
import type { DeviceKey } from "../device.ts";
import { DeviceError } from "../errors.ts";

const id = z.string().regex(/^(?:[0-9a-f]{2}){1,255}$/);

/**
 * What the store keeps of a key in a token, as JSON: where the key is, what it wraps by, and by which public key it is known.
 * Nothing in it is secret.
 */
const schemas = {
  /** A master key. */
  wrap: z.strictObject({ id, wrap: z.enum(["aes-gcm", "aes-kw"]) }),
  /** A key pair; SHA-256 of its SubjectPublicKeyInfo. */
  sign: z.strictObject({ id, fingerprint: z.string().regex(/^[0-9a-f]{64}$/) }),
  mac: z.strictObject({ id }),
} as const;

export type Materials = { readonly [Usage in keyof typeof schemas]: Readonly<z.output<(typeof schemas)[Usage]>> };

export function materialOf<Usage extends keyof Materials>(_usage: Usage, facts: Materials[Usage]): Buffer {
  return Buffer.from(JSON.stringify(facts));
}

/** @throws {DeviceError} `KEY_DAMAGED`. */
export function readMaterial<Usage extends keyof Materials>(
  usage: Usage,
  { keyId, version, material }: DeviceKey,
): Materials[Usage] {
  try {
    return schemas[usage].parse(JSON.parse(material.toString())) as Materials[Usage];
  } catch (cause) {
    throw new DeviceError("KEY_DAMAGED", `key ${keyId} version ${version} names no key of a token`, cause);
  }
}
