import { createCipheriv, createHash, timingSafeEqual } from "node:crypto";
import type { Attribute } from "pkcs11js";
import { der, derTags } from "../../crypto/der.ts";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { DeviceFault } from "../native/fault.ts";
import { attributes, keyTypes, objectClasses } from "./constants.ts";
import { type CurveName, curves, spkiOfPoint } from "./curves.ts";
import type { Handle } from "./module.ts";
import { isSignatureOf, signRaw } from "./signing.ts";
import { attribute, mechanismList, type TokenContext } from "./token-context.ts";

/** A key pair that was made elsewhere. */
export interface KeyPairToImport {
  readonly id: Buffer;
  readonly label: Buffer;
  readonly curve: CurveName;
  /** PrivateKeyInfo, DER. */
  readonly pkcs8: Buffer;
  /** The scalar, or the seed. */
  readonly value: Buffer;
  /** The public point: `04 ‖ X ‖ Y`, or 32 bytes. */
  readonly point: Buffer;
}

/** CKM_AES_KEY_WRAP_PAD (RFC 5649), and its initial value as OpenSSL wants it. */
const aesKeyWrapPad = 0x210a;
const wrapPadIv = Buffer.from("a65959a6", "hex");
const wrappingKeyBytes = 32;
const knownInput = createHash("sha256")
  .update("strongroom: does this token sign with the key that was imported?")
  .digest();

/**
 * Puts a key pair into the token: a private key that is sensitive, private and not extractable, and signs only, and its public key.
 * Then reads the public key back, has the token sign a known input, and looks at what the token made of the private key's
 * attributes. What fails leaves nothing in the token.
 *
 * The private key goes in wrapped where the token unwraps it (AES key wrap with padding under a key for this once), else as a plain
 * value: tokens differ in which of the two they allow.
 *
 * @throws {DeviceFault} `integrity` when the token does not hold, or does not sign with, the key as it was given.
 */
export async function importKeyPair(context: TokenContext, pair: KeyPairToImport): Promise<void> {
  const made: Handle[] = [];
  try {
    const privateKey = makePrivateKey(context, pair);
    made.push(privateKey);
    made.push(tryEach(pair, (params) => context.module.C_CreateObject(context.session, publicTemplate(pair, params))));
    mustBeKept(context, privateKey);
    await mustSign(context, pair);
  } catch (error) {
    context.keys.forgetAll();
    // The first failure is what is told.
    for (const object of made) destroyQuietly(context, object);
    throw error;
  }
}

function makePrivateKey(context: TokenContext, pair: KeyPairToImport): Handle {
  const { module, session } = context;
  const template = privateTemplate(context, pair);
  try {
    return withWrappingKey(context, pair.pkcs8, (key, wrapped) =>
      module.C_UnwrapKey(session, { mechanism: aesKeyWrapPad }, key, wrapped, [...template]),
    );
  } catch {
    return tryEach(pair, (params) =>
      module.C_CreateObject(session, [
        ...template,
        attribute(attributes.ecParams, params),
        attribute(attributes.value, pair.value),
      ]),
    );
  }
}

/** An AES key of this session only, and the bytes under it. */
function withWrappingKey<T>(
  { module, session }: TokenContext,
  bytes: Buffer,
  use: (key: Handle, wrapped: Buffer) => T,
): T {
  using secret = SecretBuffer.random(wrappingKeyBytes);
  return secret.expose((value) => {
    const cipher = createCipheriv("id-aes256-wrap-pad", value, wrapPadIv);
    const wrapped = Buffer.concat([cipher.update(bytes), cipher.final()]);
    const key = module.C_CreateObject(session, [
      attribute(attributes.objectClass, objectClasses.secretKey),
      attribute(attributes.keyType, keyTypes.aes),
      attribute(attributes.token, false),
      attribute(attributes.private, true),
      attribute(attributes.sensitive, true),
      attribute(attributes.extractable, false),
      attribute(attributes.unwrap, true),
      attribute(attributes.encrypt, false),
      attribute(attributes.decrypt, false),
      attribute(attributes.value, value),
    ]);
    try {
      return use(key, wrapped);
    } finally {
      destroyQuietly({ module, session }, key);
    }
  });
}

/** What was done with it stands, also where a token does not let go of it now. */
function destroyQuietly({ module, session }: Pick<TokenContext, "module" | "session">, object: Handle): void {
  try {
    module.C_DestroyObject(session, object);
  } catch {
    // A key of the session goes with it.
  }
}

function privateTemplate({ restrictsMechanisms }: TokenContext, { id, label, curve }: KeyPairToImport): Attribute[] {
  const { keyType, sign } = curves[curve];
  return [
    attribute(attributes.objectClass, objectClasses.privateKey),
    attribute(attributes.keyType, keyType),
    attribute(attributes.token, true),
    attribute(attributes.private, true),
    attribute(attributes.sensitive, true),
    attribute(attributes.extractable, false),
    attribute(attributes.sign, true),
    attribute(attributes.decrypt, false),
    attribute(attributes.unwrap, false),
    attribute(attributes.derive, false),
    ...(restrictsMechanisms ? [attribute(attributes.allowedMechanisms, mechanismList(sign))] : []),
    attribute(attributes.id, id),
    attribute(attributes.label, label),
  ];
}

function publicTemplate({ id, label, curve, point }: KeyPairToImport, params: Buffer): Attribute[] {
  return [
    attribute(attributes.objectClass, objectClasses.publicKey),
    attribute(attributes.keyType, curves[curve].keyType),
    attribute(attributes.token, true),
    attribute(attributes.private, false),
    attribute(attributes.verify, true),
    attribute(attributes.encrypt, false),
    attribute(attributes.wrap, false),
    attribute(attributes.ecParams, params),
    attribute(attributes.ecPoint, der(derTags.octetString, point)),
    attribute(attributes.id, id),
    attribute(attributes.label, label),
  ];
}

/** Edwards curves have two names: the module's own is found by trying. */
function tryEach({ curve }: KeyPairToImport, make: (params: Buffer) => Handle): Handle {
  let refusal: unknown;
  for (const params of curves[curve].params)
    try {
      return make(params);
    } catch (error) {
      refusal ??= error;
    }
  throw refusal;
}

/** Some tokens take a template and do what they like. */
function mustBeKept({ module, session }: TokenContext, privateKey: Handle): void {
  const wanted = [attributes.private, attributes.sensitive, attributes.extractable];
  const [isPrivate, sensitive, extractable] = module
    .C_GetAttributeValue(
      session,
      privateKey,
      wanted.map((type) => ({ type })),
    )
    .map(({ value }) => (Buffer.isBuffer(value) ? value[0] : undefined));
  if (isPrivate !== 1 || sensitive !== 1 || extractable !== 0)
    throw notAsGiven("would hold the key so that it could be read from it again");
}

async function mustSign(context: TokenContext, { id, curve, point }: KeyPairToImport): Promise<void> {
  const { module, session, keys } = context;
  keys.forgetAll();
  const { signatureBytes } = curves[curve];
  await keys.withKeyPair(module, session, id, async (found) => {
    const spki = spkiOfPoint(curve, point);
    if (found.curve !== curve || found.spki.length !== spki.length || !timingSafeEqual(found.spki, spki))
      throw notAsGiven("shows another public key than the one that was imported");
    const signature = await signRaw(context, found, knownInput, Buffer.alloc(signatureBytes));
    if (!(await isSignatureOf(found, knownInput, signature)))
      throw notAsGiven("does not sign with the key that was imported");
  });
}

function notAsGiven(what: string): DeviceFault {
  return new DeviceFault({
    kind: "integrity",
    code: "IMPORT_REFUSED",
    message: `the token ${what}; nothing was left in it`,
  });
}
