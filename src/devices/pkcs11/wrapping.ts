import type { Mechanism } from "pkcs11js";
import { attributes, keyTypes, mechanisms, objectClasses } from "./constants.ts";
import type { Handle } from "./module.ts";
import { asFault, mayBeRefusal } from "./return-codes.ts";
import { attribute, gcmMechanism, inThread, type TokenContext } from "./token-context.ts";

const tagBytes = 16;
const keyWrapBytes = 8;
const keyWrap: Mechanism = { mechanism: mechanisms.aesKeyWrap };

/** AES-GCM (SP 800-38D) in the token. @returns ciphertext ‖ tag (16) */
export async function gcmSeal(
  context: TokenContext,
  id: Buffer,
  iv: Buffer,
  associatedData: Buffer,
  plaintext: Buffer,
): Promise<Buffer> {
  const { module, session, keys } = context;
  return await keys.withSecretKey(module, session, id, (key) =>
    gcmSealWithKey(context, key, iv, associatedData, plaintext),
  );
}

export async function gcmSealWithKey(
  context: TokenContext,
  key: Handle,
  iv: Buffer,
  associatedData: Buffer,
  plaintext: Buffer,
): Promise<Buffer> {
  const { module, session, threads } = context;
  const mechanism = gcmMechanism(context.gcmLayout, iv, associatedData);
  const out = Buffer.allocUnsafeSlow(plaintext.length + tagBytes);
  return await inThread([mechanism, plaintext, out], async () => {
    module.C_EncryptInit(session, mechanism, key);
    return threads ? await module.C_EncryptAsync(session, plaintext, out) : module.C_Encrypt(session, plaintext, out);
  });
}

/** @returns The plaintext, the caller's to wipe; undefined when it does not authenticate. */
export async function gcmOpen(
  context: TokenContext,
  id: Buffer,
  iv: Buffer,
  associatedData: Buffer,
  ciphertext: Buffer,
): Promise<Buffer | undefined> {
  const { module, session, keys } = context;
  return await keys.withSecretKey(module, session, id, (key) =>
    gcmOpenWithKey(context, key, iv, associatedData, ciphertext),
  );
}

export async function gcmOpenWithKey(
  context: TokenContext,
  key: Handle,
  iv: Buffer,
  associatedData: Buffer,
  ciphertext: Buffer,
): Promise<Buffer | undefined> {
  const { module, session, threads } = context;
  if (ciphertext.length <= tagBytes) return undefined;
  const mechanism = gcmMechanism(context.gcmLayout, iv, associatedData);
  const plaintextBytes = ciphertext.length - tagBytes;
  // Some modules want room for the tag too.
  const out = Buffer.allocUnsafeSlow(ciphertext.length);
  try {
    const plaintext = await inThread([mechanism, ciphertext, out], async () => {
      module.C_DecryptInit(session, mechanism, key);
      return threads
        ? await module.C_DecryptAsync(session, ciphertext, out)
        : module.C_Decrypt(session, ciphertext, out);
    });
    if (plaintext.length !== plaintextBytes) return undefined;
    return Buffer.copyBytesFrom(plaintext);
  } catch (error) {
    // Was it the ciphertext, or has the token failed? What it has just sealed itself must open.
    if (!mayBeRefusal(error) || !(await stillSeals(context, key, error))) throw error;
    return undefined;
  } finally {
    out.fill(0);
  }
}

/** Whether the key opens what it seals: then what did not open was not sealed by it. */
async function stillSeals(context: TokenContext, key: Handle, refusal: unknown): Promise<boolean> {
  const { module, session } = context;
  const [iv, data, probe] = [module.C_GenerateRandom(session, Buffer.alloc(12)), Buffer.of(1), Buffer.alloc(16, 0x5a)];
  try {
    const sealed = await gcmSealWithKey(context, key, iv, data, probe);
    const mechanism = gcmMechanism(context.gcmLayout, iv, data);
    module.C_DecryptInit(session, mechanism, key);
    return module.C_Decrypt(session, sealed, Buffer.alloc(sealed.length)).equals(probe);
  } catch {
    throw asFault(refusal, "decrypting");
  }
}

/** AES key wrap (RFC 3394, SP 800-38F KW) of bytes in the token. */
export async function keyWrapBytesUnder(context: TokenContext, id: Buffer, bytes: Buffer): Promise<Buffer> {
  const { module, session, keys } = context;
  return await keys.withSecretKey(module, session, id, (key) => wrapWithKey(context, key, bytes));
}

export function wrapWithKey({ module, session }: TokenContext, key: Handle, bytes: Buffer): Buffer {
  const carrier = module.C_CreateObject(session, [...carrierTemplate, attribute(attributes.value, bytes)]);
  try {
    return Buffer.copyBytesFrom(
      module.C_WrapKey(session, keyWrap, key, carrier, Buffer.allocUnsafeSlow(bytes.length + keyWrapBytes)),
    );
  } finally {
    module.C_DestroyObject(session, carrier);
  }
}

/** @returns The bytes, the caller's to wipe; undefined when they do not authenticate. */
export async function keyUnwrapBytes(context: TokenContext, id: Buffer, wrapped: Buffer): Promise<Buffer | undefined> {
  const { module, session, keys } = context;
  return await keys.withSecretKey(module, session, id, (key) => unwrapWithKey(context, key, wrapped));
}

export function unwrapWithKey(context: TokenContext, key: Handle, wrapped: Buffer): Buffer | undefined {
  const { module, session } = context;
  if (wrapped.length < 3 * keyWrapBytes || wrapped.length % keyWrapBytes !== 0) return undefined;
  let carrier: Handle;
  try {
    carrier = module.C_UnwrapKey(session, keyWrap, key, wrapped, [...carrierTemplate]);
  } catch (error) {
    if (!mayBeRefusal(error) || !stillWraps(context, key, error)) throw error;
    return undefined;
  }
  try {
    const [value] = module.C_GetAttributeValue(session, carrier, [{ type: attributes.value }]);
    return Buffer.isBuffer(value?.value) ? value.value : undefined;
  } finally {
    module.C_DestroyObject(session, carrier);
  }
}

function stillWraps(context: TokenContext, key: Handle, refusal: unknown): boolean {
  const { module, session } = context;
  const probe = Buffer.alloc(32, 0x5a);
  try {
    const wrapped = wrapWithKey(context, key, probe);
    module.C_DestroyObject(session, module.C_UnwrapKey(session, keyWrap, key, wrapped, [...carrierTemplate]));
    return true;
  } catch {
    throw asFault(refusal, "unwrapping");
  }
}

/** The object that bytes are wrapped in: it lives for one call, in one session, and may leave it. */
const carrierTemplate = [
  attribute(attributes.objectClass, objectClasses.secretKey),
  attribute(attributes.keyType, keyTypes.genericSecret),
  attribute(attributes.token, false),
  attribute(attributes.private, true),
  attribute(attributes.sensitive, false),
  attribute(attributes.extractable, true),
];
