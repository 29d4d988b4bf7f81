import type { PKCS11, Template } from "pkcs11js";
import { DeviceFault } from "../native/fault.ts";
import { attributes, objectClasses } from "./constants.ts";
import { type CurveName, curveOfParams, fingerprintOf, pointOfAttribute, spkiOfPoint } from "./curves.ts";
import type { Handle } from "./module.ts";
import { isStaleHandle } from "./return-codes.ts";
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
  /** Set once a signature of the private key was checked with the public key. */
  proven: boolean;
}

/**
 * Finds keys by their CKA_ID, and remembers what it found: to look for an object at every call is what makes many programs
 * slow on tokens that hold thousands. Only the handles are kept; a handle that is stale is looked for anew, once.
 */
export class KeyFinder {
  readonly #secretKeys = new Map<string, Handle>();
  readonly #keyPairs = new Map<string, FoundKeyPair>();

  /**
   * Runs `use` with a secret key.
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
    return await this.#with(this.#secretKeys, id, find, use);
  }

  /** Runs `use` with a key pair. Faults as {@link withSecretKey}; `unsupported` for a curve that is none of ours. */
  async withKeyPair<T>(
    module: PKCS11,
    session: Handle,
    id: Buffer,
    use: (pair: FoundKeyPair) => T | Promise<T>,
  ): Promise<T> {
    const find = (): FoundKeyPair => ({
      privateKey: onlyObject(module, session, objectClasses.privateKey, id),
      ...publicKeyOf(module, session, onlyObject(module, session, objectClasses.publicKey, id), id),
      proven: false,
    });
    return await this.#with(this.#keyPairs, id, find, use);
  }

  /** Forgets all: after keys were made or destroyed. */
  forgetAll(): void {
    this.#secretKeys.clear();
    this.#keyPairs.clear();
  }

  async #with<Found, T>(
    known: Map<string, Found>,
    id: Buffer,
    find: () => Found,
    use: (found: Found) => T | Promise<T>,
  ): Promise<T> {
    const name = id.toString("latin1");
    const remembered = known.get(name);
    if (remembered !== undefined)
      try {
        return await use(remembered);
      } catch (error) {
        // A call with a stale handle has done nothing.
        if (!isStaleHandle(error)) throw error;
        known.delete(name);
      }
    const found = find();
    known.set(name, found);
    return await use(found);
  }
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
