import { randomBytes } from "node:crypto";
import type { PKCS11, Template } from "pkcs11js";
import { DeviceFault } from "../native/fault.ts";
import { attributes, objectClasses } from "./constants.ts";
import { type CurveName, curveOfParams, fingerprintOf, pointOfAttribute, spkiOfPoint } from "./curves.ts";
import type { Handle } from "./module.ts";
import { isStaleHandle } from "./return-codes.ts";
import { nonceBytes } from "./signed.ts";
import { attribute } from "./token-context.ts";

export interface FoundPublicKey {
  readonly curve: CurveName;
  readonly point: Buffer;
  readonly spki: Buffer;
  /** SHA-256 of the SubjectPublicKeyInfo. */
  readonly fingerprint: Buffer;
}

export interface FoundKeyPair extends FoundPublicKey {
  readonly privateKey: Handle;
  /** Tells what was made by this handle, as it was found this once, from all else. */
  readonly finding: Buffer;
}

/** How long a handle is used as it was found: a key that was replaced is noticed within it. */
const foundForMs = 1_000;

interface Remembered<Found> {
  readonly found: Found;
  readonly foundAtMs: number;
}

/**
 * Finds keys by their CKA_ID, and remembers for a second what it found: to look for an object at every call is what makes many
 * programs slow on tokens that hold thousands. A handle that is stale is looked for anew, once.
 *
 * A token may give the number of a handle to another object within that second. Signatures are checked by who asked for them; of a
 * secret key the handle is read again after its use.
 */
export class KeyFinder {
  readonly #secretKeys = new Map<string, Remembered<Handle>>();
  readonly #keyPairs = new Map<string, Remembered<FoundKeyPair>>();

  /**
   * Runs `use` with a secret key; again where the handle has come to name another key meanwhile.
   *
   * @throws {DeviceFault} `not-found`; `integrity` when two keys have the id.
   */
  async withSecretKey<T>(
    module: PKCS11,
    session: Handle,
    id: Buffer,
    use: (key: Handle) => T | Promise<T>,
  ): Promise<T> {
    const find = () => onlyObject(module, session, objectClasses.secretKey, id);
    return await this.#with(this.#secretKeys, id, find, async (key) => {
      const used = await use(key);
      if (isSecretKeyOf(module, session, key, id)) return used;
      if (Buffer.isBuffer(used)) used.fill(0);
      throw new HandleReused(id);
    });
  }

  /**
   * Runs `use` with a key pair, and at once where `use` works at once. Faults as {@link withSecretKey}; `unsupported` for a curve that
   * is none of ours.
   */
  withKeyPair<T>(
    module: PKCS11,
    session: Handle,
    id: Buffer,
    use: (pair: FoundKeyPair) => T | Promise<T>,
  ): T | Promise<T> {
    const find = (): FoundKeyPair => ({
      privateKey: onlyObject(module, session, objectClasses.privateKey, id),
      finding: randomBytes(nonceBytes),
      ...publicKeyOf(module, session, onlyObject(module, session, objectClasses.publicKey, id), id),
    });
    return this.#with(this.#keyPairs, id, find, use);
  }

  /** Forgets all: after keys were made or destroyed. */
  forgetAll(): void {
    this.#secretKeys.clear();
    this.#keyPairs.clear();
  }

  #with<Found, T>(
    known: Map<string, Remembered<Found>>,
    id: Buffer,
    find: () => Found,
    use: (found: Found) => T | Promise<T>,
  ): T | Promise<T> {
    const name = id.toString("latin1");
    const findAndUse = (): T | Promise<T> => {
      known.delete(name);
      const foundAtMs = performance.now();
      const found = find();
      known.set(name, { found, foundAtMs });
      return use(found);
    };
    // A call with a stale handle has done nothing, and what one of another key did is not given out.
    const again = (error: unknown): T | Promise<T> => {
      if (!isStaleHandle(error) && !(error instanceof HandleReused)) throw error;
      return findAndUse();
    };
    const remembered = known.get(name);
    if (remembered === undefined || performance.now() - remembered.foundAtMs > foundForMs) return findAndUse();
    try {
      const used = use(remembered.found);
      return used instanceof Promise ? used.catch(again) : used;
    } catch (error) {
      return again(error);
    }
  }
}

/** A handle that was found for one key names another now. */
class HandleReused extends DeviceFault {
  constructor(id: Buffer) {
    super({
      kind: "integrity",
      code: "KEY_CHANGED",
      message: `the key of id ${id.toString("hex")} was replaced in the token while it was used; what it did is not given out`,
    });
  }
}

/** Whether the handle still names the private secret key of this id. */
function isSecretKeyOf(module: PKCS11, session: Handle, key: Handle, id: Buffer): boolean {
  const wanted = [attributes.id, attributes.objectClass, attributes.private];
  let read: readonly unknown[];
  try {
    read = module
      .C_GetAttributeValue(
        session,
        key,
        wanted.map((type) => ({ type })),
      )
      .map(({ value }) => value);
  } catch (error) {
    if (isStaleHandle(error)) return false;
    throw error;
  }
  const [itsId, itsClass, isPrivate] = read;
  return (
    Buffer.isBuffer(itsId) &&
    itsId.equals(id) &&
    Buffer.isBuffer(itsClass) &&
    itsClass.readUInt32LE() === objectClasses.secretKey &&
    Buffer.isBuffer(isPrivate) &&
    isPrivate[0] === 1
  );
}

/** Handles of the objects that match, at most `most`. */
export function findObjects(module: PKCS11, session: Handle, template: Template, most: number): readonly Handle[] {
  module.C_FindObjectsInit(session, template);
  try {
    const found: Handle[] = [];
    while (found.length < most) {
      const some = module.C_FindObjects(session, Math.min(64, most - found.length));
      if (some.length === 0) break;
      found.push(...some);
    }
    return found;
  } finally {
    module.C_FindObjectsFinal(session);
  }
}

function onlyObject(module: PKCS11, session: Handle, objectClass: number, id: Buffer): Handle {
  const kind =
    objectClass === objectClasses.secretKey ? "secret" : objectClass === objectClasses.publicKey ? "public" : "private";
  const template = [
    attribute(attributes.objectClass, objectClass),
    attribute(attributes.token, true),
    attribute(attributes.id, id),
    // Without a PIN anyone who reaches the token can put a key of their own there, but none that only its user sees.
    ...(kind === "public" ? [] : [attribute(attributes.private, true)]),
  ];
  const [object, other] = findObjects(module, session, template, 2);
  if (object === undefined)
    throw new DeviceFault({
      kind: "not-found",
      code: "KEY_NOT_FOUND",
      message: `the token holds no ${kind} key of id ${id.toString("hex")}${kind === "public" ? "" : " that only its user sees (CKA_PRIVATE)"}`,
    });
  if (other !== undefined)
    throw new DeviceFault({
      kind: "integrity",
      code: "KEY_AMBIGUOUS",
      message: `the token holds several ${kind} keys of id ${id.toString("hex")}: which one is meant cannot be told`,
    });
  return object;
}

function publicKeyOf(module: PKCS11, session: Handle, object: Handle, id: Buffer): FoundPublicKey {
  const [params, point] = module
    .C_GetAttributeValue(session, object, [{ type: attributes.ecParams }, { type: attributes.ecPoint }])
    .map(({ value }) => value);
  const curve = Buffer.isBuffer(params) ? curveOfParams(params) : undefined;
  const bare = curve !== undefined && Buffer.isBuffer(point) ? pointOfAttribute(curve, point) : undefined;
  if (curve === undefined || bare === undefined)
    throw new DeviceFault({
      kind: "unsupported",
      code: "CURVE_UNKNOWN",
      message: `the key pair of id ${id.toString("hex")} is on a curve, or has a form of its point, that is not known here`,
    });
  const spki = spkiOfPoint(curve, bare);
  return { curve, point: bare, spki, fingerprint: fingerprintOf(spki) };
}
