import { createHash, timingSafeEqual } from "node:crypto";
import { type Context, encodeContext } from "../../crypto/context.ts";
import { kernelRandomBytes } from "../../crypto/kernel-random.ts";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import type { DeviceKey } from "../device.ts";
import type { Materials } from "./material.ts";
import type { Pkcs11Token } from "./token.ts";

/** The first byte of a blob says how it is made. */
const forms = { "aes-gcm": 1, "aes-kw": 2 } as const;
const label = Buffer.from("strongroom/pkcs11/wrap/v1");
const ivBytes = 12;
const secretBytes = 32;
const hashBytes = 32;
const gcmBlobBytes = 1 + ivBytes + secretBytes + 16;
const keyWrapBlobBytes = 1 + secretBytes + hashBytes + 8;

/**
 * Wraps 32 random bytes S by the token's master key, bound to the key's id, version and context:
 *
 *     binding = "strongroom/pkcs11/wrap/v1" ‖ key id (16) ‖ version (u32) ‖ SHA-256(encoded context) (32)
 *     AES-GCM:      1 (1) ‖ IV (12) ‖ AES-256-GCM(S, associated data = binding) (32) ‖ tag (16)
 *     AES key wrap: 2 (1) ‖ KW(S ‖ SHA-256(binding)) (72)
 *
 * Both are authenticated by the key in the token: KW (SP 800-38F 6.2) takes no associated data, but proves all that it wraps. IVs
 * are random; SP 800-38D 8.3 allows 2^32 of them for one key version.
 */
export async function wrapNewSecret(
  token: Pkcs11Token,
  key: DeviceKey,
  material: Materials["wrap"],
  context: Context,
): Promise<{ readonly secret: SecretBuffer; readonly blob: Buffer }> {
  const binding = bindingOf(key, context);
  const id = Buffer.from(material.id, "hex");
  const secret = SecretBuffer.random(secretBytes);
  try {
    const form = Buffer.of(forms[material.wrap]);
    if (material.wrap === "aes-gcm") {
      const iv = kernelRandomBytes(ivBytes);
      return { secret, blob: Buffer.concat([form, iv, await token.gcmSeal(id, iv, binding, secret)]) };
    }
    using payload = secret.expose((bytes) => {
      const joined = Buffer.allocUnsafeSlow(secretBytes + hashBytes);
      joined.set(bytes);
      joined.set(sha256(binding), secretBytes);
      return SecretBuffer.adopt(joined);
    });
    return { secret, blob: Buffer.concat([form, await token.keyWrap(id, payload)]) };
  } catch (error) {
    secret[Symbol.dispose]();
    throw error;
  }
}

/** The secret of a blob; undefined when it was altered, or is of another key, version or context. The caller disposes of it. */
export async function unwrapSecret(
  token: Pkcs11Token,
  key: DeviceKey,
  material: Materials["wrap"],
  blob: Uint8Array,
  context: Context,
): Promise<SecretBuffer | undefined> {
  const bytes = Buffer.from(blob);
  if (bytes[0] !== forms[material.wrap]) return undefined;
  const binding = bindingOf(key, context);
  const id = Buffer.from(material.id, "hex");
  if (material.wrap === "aes-gcm") {
    if (bytes.length !== gcmBlobBytes) return undefined;
    const secret = await token.gcmOpen(id, bytes.subarray(1, 1 + ivBytes), binding, bytes.subarray(1 + ivBytes));
    if (secret === undefined || secret.byteLength === secretBytes) return secret;
    secret[Symbol.dispose]();
    return undefined;
  }
  if (bytes.length !== keyWrapBlobBytes) return undefined;
  using payload = await token.keyUnwrap(id, bytes.subarray(1));
  return payload?.expose((both) => {
    if (both.length !== secretBytes + hashBytes || !timingSafeEqual(both.subarray(secretBytes), sha256(binding)))
      return undefined;
    return SecretBuffer.copyOf(both.subarray(0, secretBytes));
  });
}

function bindingOf({ keyId, version }: DeviceKey, context: Context): Buffer {
  const number = Buffer.alloc(4);
  number.writeUInt32BE(version);
  return Buffer.concat([label, Buffer.from(keyId.replaceAll("-", ""), "hex"), number, sha256(encodeContext(context))]);
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}
