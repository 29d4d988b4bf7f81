import { createCipheriv, createHmac, randomBytes } from "node:crypto";
import type { PKCS11 } from "pkcs11js";
import { macAlgorithms } from "../../crypto/key-specs.ts";
import { DeviceFault } from "../native/fault.ts";
import type { Pkcs11Config } from "./config.ts";
import { attributes, type gcmLayouts, keyTypes, mechanisms, objectClasses } from "./constants.ts";
import { type CurveName, curves, fingerprintOf, isCurveName, pointOfAttribute, spkiOfPoint } from "./curves.ts";
import { KeyFinder } from "./key-finder.ts";
import { makeKeyPair, makeSecretKey } from "./key-making.ts";
import type { Handle } from "./module.ts";
import { longestSignedBytes } from "./signed.ts";
import { isSignatureOf, isTokenMacName, macMechanisms, signRaw, type TokenMacName } from "./signing.ts";
import { attribute, type TokenContext } from "./token-context.ts";
import { gcmOpenWithKey, gcmSealWithKey, unwrapWithKey, wrapWithKey } from "./wrapping.ts";

/** What a token was seen to do right. */
export interface ProvenToken {
  readonly wrap: "aes-gcm" | "aes-kw" | "none";
  readonly gcmLayout: keyof typeof gcmLayouts;
  readonly restrictsMechanisms: boolean;
  readonly curves: readonly CurveName[];
  readonly macs: readonly TokenMacName[];
  /** Whether known keys could be brought in, so that answers were compared with OpenSSL's; else only round trips were. */
  readonly knownAnswers: boolean;
}

const naming = { id: Buffer.from("self-test"), label: Buffer.from("strongroom:self-test"), inToken: false };

/**
 * Tries every mechanism that the token lists, with keys that live in this session only: AES-GCM and AES key wrap against
 * OpenSSL's answers, HMACs against OpenSSL's answers, signatures by OpenSSL's verification. What does not work, or answers
 * wrongly, is not used: wrongly laid-out parameters show here, not in a key manager's data.
 *
 * @throws {DeviceFault} `unsupported` (WRAP_UNPROVEN) when the wrap that the configuration asks for is not among what works.
 */
export async function selfTest(
  module: PKCS11,
  slot: Handle,
  session: Handle,
  config: Pkcs11Config,
): Promise<ProvenToken> {
  const listed = new Set(module.C_GetMechanismList(slot));
  const base = {
    module,
    session,
    threads: false,
    signatureRoom: Buffer.alloc(longestSignedBytes),
    keys: new KeyFinder(),
  } as const;
  const trial = (gcmLayout: keyof typeof gcmLayouts, restrictsMechanisms: boolean): TokenContext => ({
    ...base,
    gcmLayout,
    restrictsMechanisms,
  });
  const restrictsMechanisms = tries(() => {
    const key = makeSecretKey(trial("withIvBits", true), "aes-gcm", 32, naming);
    module.C_DestroyObject(session, key);
    return true;
  });
  const context = trial("withIvBits", restrictsMechanisms);
  const knownAnswers = tries(() => {
    module.C_DestroyObject(session, knownKey(context, keyTypes.aes, randomBytes(32), [attributes.encrypt]));
    return true;
  });
  let gcmLayout: keyof typeof gcmLayouts | undefined;
  if (listed.has(mechanisms.aesGcm))
    for (const layout of ["withIvBits", "withoutIvBits"] as const)
      if (gcmLayout === undefined && (await proven(() => gcmWorks(trial(layout, restrictsMechanisms), knownAnswers))))
        gcmLayout = layout;
  const wraps = listed.has(mechanisms.aesKeyWrap) && (await proven(() => keyWrapWorks(context, knownAnswers)));
  const wrap = chooseWrap(config.wrap, gcmLayout !== undefined, wraps);

  const workingCurves: CurveName[] = [];
  for (const name of Object.keys(curves))
    if (isCurveName(name) && listed.has(curves[name].generate) && listed.has(curves[name].sign))
      if (await proven(() => curveWorks(context, name))) workingCurves.push(name);
  const workingMacs: TokenMacName[] = [];
  if (listed.has(mechanisms.genericSecretKeyGen))
    for (const name of Object.keys(macMechanisms))
      if (isTokenMacName(name) && listed.has(macMechanisms[name]))
        if (await proven(() => macWorks(context, name, knownAnswers))) workingMacs.push(name);
  return {
    wrap,
    gcmLayout: gcmLayout ?? "withIvBits",
    restrictsMechanisms,
    curves: workingCurves,
    macs: workingMacs,
    knownAnswers,
  };
}

function chooseWrap(asked: Pkcs11Config["wrap"], gcm: boolean, keyWrap: boolean): ProvenToken["wrap"] {
  const works = { "aes-gcm": gcm, "aes-kw": keyWrap };
  if (asked === "auto") return gcm ? "aes-gcm" : keyWrap ? "aes-kw" : "none";
  if (works[asked]) return asked;
  throw new DeviceFault({
    kind: "unsupported",
    code: "WRAP_UNPROVEN",
    message: `the token does not do ${asked}, or gives wrong answers: set wrap to auto, or to what the token does`,
  });
}

async function gcmWorks(context: TokenContext, knownAnswers: boolean): Promise<boolean> {
  const [iv, data, plaintext, bytes] = [randomBytes(12), randomBytes(68), randomBytes(32), randomBytes(32)];
  const uses = [attributes.encrypt, attributes.decrypt];
  const key = knownAnswers
    ? knownKey(context, keyTypes.aes, bytes, uses)
    : makeSecretKey(context, "aes-gcm", 32, naming);
  try {
    const sealed = await gcmSealWithKey(context, key, iv, data, plaintext);
    if (knownAnswers) {
      const cipher = createCipheriv("aes-256-gcm", bytes, iv).setAAD(data);
      const expected = Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
      if (!sealed.equals(expected)) return false;
    }
    const opened = await gcmOpenWithKey(context, key, iv, data, sealed);
    if (opened === undefined || !opened.equals(plaintext)) return false;
    const changed = Buffer.from(sealed);
    changed[40] = (changed[40] ?? 0) ^ 1;
    const otherData = Buffer.concat([data, Buffer.of(0)]);
    return (
      (await gcmOpenWithKey(context, key, iv, data, changed)) === undefined &&
      (await gcmOpenWithKey(context, key, iv, otherData, sealed)) === undefined
    );
  } finally {
    context.module.C_DestroyObject(context.session, key);
  }
}

async function keyWrapWorks(context: TokenContext, knownAnswers: boolean): Promise<boolean> {
  const [bytes, plaintext] = [randomBytes(32), randomBytes(64)];
  const uses = [attributes.wrap, attributes.unwrap];
  const key = knownAnswers
    ? knownKey(context, keyTypes.aes, bytes, uses)
    : makeSecretKey(context, "aes-kw", 32, naming);
  try {
    const wrapped = wrapWithKey(context, key, plaintext);
    if (knownAnswers) {
      // RFC 3394's default initial value.
      const cipher = createCipheriv("id-aes256-wrap", bytes, Buffer.alloc(8, 0xa6));
      if (!wrapped.equals(Buffer.concat([cipher.update(plaintext), cipher.final()]))) return false;
    }
    const changed = Buffer.from(wrapped);
    changed[40] = (changed[40] ?? 0) ^ 1;
    return (
      unwrapWithKey(context, key, wrapped)?.equals(plaintext) === true &&
      unwrapWithKey(context, key, changed) === undefined
    );
  } finally {
    context.module.C_DestroyObject(context.session, key);
  }
}

async function curveWorks(context: TokenContext, curve: CurveName): Promise<boolean> {
  const { module, session } = context;
  const { publicKey, privateKey } = makeKeyPair(context, curve, naming);
  try {
    const [found] = module.C_GetAttributeValue(session, publicKey, [{ type: attributes.ecPoint }]);
    const point = Buffer.isBuffer(found?.value) ? pointOfAttribute(curve, found.value) : undefined;
    if (point === undefined) return false;
    const { kind } = curves[curve];
    const input = randomBytes(kind === "edwards" ? 50 : digestBytesOf(curve));
    const raw = await signRaw(context, { curve, privateKey }, input, context.signatureRoom);
    const spki = spkiOfPoint(curve, point);
    return await isSignatureOf({ curve, point, spki, fingerprint: fingerprintOf(spki) }, input, raw);
  } finally {
    module.C_DestroyObject(session, privateKey);
    module.C_DestroyObject(session, publicKey);
  }
}

function digestBytesOf(curve: CurveName): number {
  return curve === "ECC_NIST_P384" ? 48 : curve === "ECC_NIST_P521" ? 64 : 32;
}

async function macWorks(context: TokenContext, name: TokenMacName, knownAnswers: boolean): Promise<boolean> {
  const { module, session } = context;
  const { hash, bytes: macBytes } = macAlgorithms[name];
  const [bytes, message] = [randomBytes(macBytes), randomBytes(100)];
  const key = knownAnswers
    ? knownKey(context, keyTypes.genericSecret, bytes, [attributes.sign])
    : makeSecretKey(context, "hmac", macBytes, naming);
  try {
    module.C_SignInit(session, { mechanism: macMechanisms[name] }, key);
    const made = module.C_Sign(session, message, Buffer.alloc(macBytes));
    return knownAnswers ? made.equals(createHmac(hash, bytes).update(message).digest()) : made.length === macBytes;
  } finally {
    module.C_DestroyObject(session, key);
  }
}

/** A key of known bytes, for this session only. Tokens in FIPS mode take none. */
function knownKey({ module, session }: TokenContext, keyType: number, bytes: Buffer, uses: readonly number[]): Handle {
  return module.C_CreateObject(session, [
    attribute(attributes.objectClass, objectClasses.secretKey),
    attribute(attributes.keyType, keyType),
    attribute(attributes.token, false),
    attribute(attributes.private, true),
    attribute(attributes.value, bytes),
    ...uses.map((use) => attribute(use, true)),
  ]);
}

/** What the token refuses, it does not do. */
async function proven(test: () => Promise<boolean>): Promise<boolean> {
  try {
    return await test();
  } catch {
    return false;
  }
}

function tries(test: () => boolean): boolean {
  try {
    return test();
  } catch {
    return false;
  }
}
