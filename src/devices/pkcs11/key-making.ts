import type { Attribute } from "pkcs11js";
import { DeviceFault } from "../native/fault.ts";
import { attributes, keyTypes, mechanisms, objectClasses } from "./constants.ts";
import { type CurveName, curves } from "./curves.ts";
import { findObjects } from "./key-finder.ts";
import type { Handle } from "./module.ts";
import { mostListedKeys, type SecretKeyKind, type TokenKey } from "./protocol.ts";
import { macMechanisms } from "./signing.ts";
import { attribute, mechanismList, type TokenContext } from "./token-context.ts";

interface Naming {
  readonly id: Buffer;
  readonly label: Buffer;
  /** False for a key that lives in this session only. */
  readonly inToken: boolean;
}

/** Attributes of every key: it stays in the token, and only a logged-in user sees it. */
function kept({ id, label, inToken }: Naming): Attribute[] {
  return [
    attribute(attributes.token, inToken),
    attribute(attributes.private, true),
    attribute(attributes.sensitive, true),
    attribute(attributes.extractable, false),
    attribute(attributes.id, id),
    attribute(attributes.label, label),
  ];
}

const { sign, verify, encrypt, decrypt, wrap, unwrap, derive } = attributes;
const secretKeyUses = [sign, verify, encrypt, decrypt, wrap, unwrap, derive];
const publicKeyUses = [verify, encrypt, wrap];
const privateKeyUses = [sign, decrypt, unwrap, derive];

/** What a key may do, and may not: many tokens allow whatever a template does not name. */
function onlyFor(uses: readonly number[], all: readonly number[]): readonly Attribute[] {
  return all.map((use) => attribute(use, uses.includes(use)));
}

/** Makes a secret key in the token. */
export function makeSecretKey(context: TokenContext, kind: SecretKeyKind, bytes: number, naming: Naming): Handle {
  const { module, session } = context;
  const [mechanism, uses, allowed] = secretKeyFacts[kind];
  return module.C_GenerateKey(session, { mechanism }, [
    attribute(attributes.valueLength, bytes),
    ...onlyFor(uses, secretKeyUses),
    ...restricted(context, allowed),
    ...kept(naming),
  ]);
}

/** The mechanism that makes a key of this kind, what it may do, and by which mechanisms. */
const secretKeyFacts: Readonly<
  Record<SecretKeyKind, readonly [mechanism: number, uses: readonly number[], allowed: readonly number[]]>
> = {
  "aes-gcm": [mechanisms.aesKeyGen, [attributes.encrypt, attributes.decrypt], [mechanisms.aesGcm]],
  "aes-kw": [mechanisms.aesKeyGen, [attributes.wrap, attributes.unwrap], [mechanisms.aesKeyWrap]],
  hmac: [mechanisms.genericSecretKeyGen, [attributes.sign, attributes.verify], Object.values(macMechanisms)],
};

/** So that a key for AES-GCM is never used in ECB: where the token knows the attribute. */
function restricted({ restrictsMechanisms }: TokenContext, allowed: readonly number[]): readonly Attribute[] {
  return restrictsMechanisms ? [attribute(attributes.allowedMechanisms, mechanismList(...allowed))] : [];
}

export function isSecretKeyKind(kind: string): kind is SecretKeyKind {
  return Object.hasOwn(secretKeyFacts, kind);
}

/** Makes a key pair in the token. Edwards curves have two names: the module's own is found by trying. */
export function makeKeyPair(
  context: TokenContext,
  curve: CurveName,
  naming: Naming,
): { readonly publicKey: Handle; readonly privateKey: Handle } {
  const { module, session } = context;
  const { generate, params, sign: mechanism } = curves[curve];
  const { id, label, inToken } = naming;
  let refusal: unknown;
  for (const name of params)
    try {
      return module.C_GenerateKeyPair(
        session,
        { mechanism: generate },
        [
          attribute(attributes.ecParams, name),
          ...onlyFor([attributes.verify], publicKeyUses),
          attribute(attributes.token, inToken),
          attribute(attributes.private, false),
          attribute(attributes.id, id),
          attribute(attributes.label, label),
        ],
        [...onlyFor([attributes.sign], privateKeyUses), ...restricted(context, [mechanism]), ...kept(naming)],
      );
    } catch (error) {
      refusal ??= error;
    }
  throw refusal;
}

/** Destroys every object of this label. @returns How many there were. */
export function destroyLabelled({ module, session, keys }: TokenContext, label: Buffer): number {
  const template = [attribute(attributes.token, true), attribute(attributes.label, label)];
  const objects = findObjects(module, session, template, mostListedKeys);
  keys.forgetAll();
  for (const object of objects) module.C_DestroyObject(session, object);
  return objects.length;
}

/** The private and secret keys in the token that the user sees, of this label and id; of none, all. */
export async function listKeys(context: TokenContext, label: Buffer, id: Buffer): Promise<readonly TokenKey[]> {
  const { module, session } = context;
  const wanted = [
    attribute(attributes.token, true),
    ...(label.length === 0 ? [] : [attribute(attributes.label, label)]),
    ...(id.length === 0 ? [] : [attribute(attributes.id, id)]),
  ];
  const found: TokenKey[] = [];
  for (const objectClass of [objectClasses.privateKey, objectClasses.secretKey]) {
    const template = [attribute(attributes.objectClass, objectClass), ...wanted];
    for (const object of findObjects(module, session, template, mostListedKeys - found.length))
      found.push(await describe(context, object));
  }
  return found;
}

async function describe(context: TokenContext, object: Handle): Promise<TokenKey> {
  const read = (type: number) => attributeOf(context.module, context.session, object, type);
  const type = number(read(attributes.keyType));
  const id = read(attributes.id);
  const curve = isPairType(type) && id.length > 0 ? await usableCurve(context, id) : undefined;
  return {
    id: id.toString("hex"),
    label: read(attributes.label).toString(),
    kind: curve !== undefined ? "key-pair" : (secretKinds.get(type) ?? "other"),
    ...(curve === undefined ? {} : { curve }),
    usages: usages.flatMap(([use, name]) => (read(use)[0] === 1 ? [name] : [])),
    extractable: read(attributes.extractable)[0] !== 0,
  };
}

async function usableCurve({ module, session, keys }: TokenContext, id: Buffer): Promise<CurveName | undefined> {
  try {
    return await keys.withKeyPair(module, session, id, ({ curve }) => curve);
  } catch (error) {
    if (error instanceof DeviceFault) return undefined;
    throw error;
  }
}

const secretKinds: ReadonlyMap<number, "aes" | "mac"> = new Map([
  [keyTypes.aes, "aes"],
  [keyTypes.genericSecret, "mac"],
]);

const usages = [
  [attributes.sign, "sign"],
  [attributes.encrypt, "encrypt"],
  [attributes.wrap, "wrap"],
] as const;

function isPairType(type: number): boolean {
  return type === keyTypes.ec || type === keyTypes.ecEdwards;
}

function number(value: Buffer): number {
  return value.length === 8 ? Number(value.readBigUInt64LE()) : -1;
}

/** Empty for an attribute that the object does not have. */
function attributeOf(module: TokenContext["module"], session: Handle, object: Handle, type: number): Buffer {
  try {
    const [found] = module.C_GetAttributeValue(session, object, [{ type }]);
    return Buffer.isBuffer(found?.value) ? found.value : Buffer.alloc(0);
  } catch {
    return Buffer.alloc(0);
  }
}
