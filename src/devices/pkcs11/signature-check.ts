import { type KeyObject, timingSafeEqual, verify } from "node:crypto";
import { OpensslKey } from "../../crypto/openssl-key.ts";
import type { DeviceError } from "../errors.ts";
import { DeviceFault, deviceErrorOf } from "../native/fault.ts";
import { type CurveName, spkiKeyObject } from "./curves.ts";
import { ecdsaSignatureOfRaw } from "./signature.ts";
import { type Signed, splitSigned } from "./signed.ts";
import { algorithmOfCurve } from "./signing.ts";
import type { TokenPublicKey, TokenSigningKey } from "./token.ts";

/** Keys in OpenSSL's form that are kept. */
const mostKeys = 256;

export interface CheckedSignature {
  readonly raw: Buffer;
  /** DER with the lower s; undefined for ED25519. */
  readonly der: Buffer | undefined;
}

/** How long a signature waits for others at most, where calls that were sent do not come back. */
const longestWaitMs = 1;

type LoadedKey = Signatures &
  (
    | { readonly curve: "ED25519"; readonly key: KeyObject }
    | { readonly curve: Exclude<CurveName, "ED25519">; readonly key: OpensslKey }
  );

/** Signatures of one key that are being made, and that wait to be verified. */
interface Signatures {
  asked: number;
  readonly waiting: Waiting[];
  willLook: boolean;
  timer: NodeJS.Timeout | undefined;
  /** Nobody asks for more by it: it is freed once none is being made or waits. */
  forgotten: boolean;
}

interface Waiting {
  readonly signer: TokenSigningKey;
  readonly input: Uint8Array;
  readonly signed: Signed;
  readonly der: Buffer | undefined;
  readonly resolve: (signature: CheckedSignature) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Checks a token's signatures with the public key that their caller knows, in this process: nothing leaves here that was made by a
 * private key that was put in another's place, or by a handle that a token gave to another key.
 *
 * Of signatures that arrive together the one that was begun last is verified: it proves that the handle still named the key when the
 * calls before it, by the same handle, had ended. What had not ended by then or was made by another handle, and all when it fails, are
 * verified themselves. A token whose key is right and that miscalculates once in a while may so have one wrong signature leave among
 * right ones; one that is asked for alone is always verified.
 */
export class SignatureCheck implements Disposable {
  readonly #publicKey: (id: Buffer) => Promise<TokenPublicKey>;
  readonly #keys = new Map<string, Promise<LoadedKey>>();

  /** @param publicKey - Reads a public key from the token; its fingerprint is compared here. */
  constructor(publicKey: (id: Buffer) => Promise<TokenPublicKey>) {
    this.#publicKey = publicKey;
  }

  /**
   * Has a signature made, and gives it out once it is known to be the key's.
   *
   * @param ask - Calls the token's process.
   * @throws {DeviceError} `DEVICE_KEY_CHANGED` unless it is the key's signature over `input`; what `ask` throws.
   */
  async checked(signer: TokenSigningKey, input: Uint8Array, ask: () => Promise<Buffer>): Promise<CheckedSignature> {
    const loaded = await this.#keyOf(signer);
    loaded.asked += 1;
    let answer: Buffer;
    try {
      answer = await ask();
    } finally {
      loaded.asked -= 1;
      lookSoon(loaded);
    }
    const signed = splitSigned(loaded.curve, answer);
    const der =
      signed === undefined || loaded.curve === "ED25519" ? undefined : ecdsaSignatureOfRaw(loaded.curve, signed.raw);
    if (signed === undefined || (der === undefined && loaded.curve !== "ED25519")) throw wrong(signer.id);
    return await new Promise((resolve, reject) => {
      loaded.waiting.push({ signer, input, signed, der, resolve, reject });
    });
  }

  [Symbol.dispose](): void {
    for (const name of [...this.#keys.keys()]) this.#forget(name);
  }

  #keyOf(signer: TokenSigningKey): Promise<LoadedKey> {
    const name = `${signer.curve} ${signer.fingerprint.toString("latin1")}`;
    const known = this.#keys.get(name);
    if (known !== undefined) return known;
    for (const oldest of this.#keys.keys()) {
      if (this.#keys.size < mostKeys) break;
      this.#forget(oldest);
    }
    const loading = this.#load(signer);
    this.#keys.set(name, loading);
    // What could not be read now may be read later.
    loading.catch(() => this.#keys.delete(name));
    return loading;
  }

  async #load({ id, curve, fingerprint }: TokenSigningKey): Promise<LoadedKey> {
    const shown = await this.#publicKey(id);
    if (shown.curve !== curve || fingerprint.length !== 32 || !timingSafeEqual(shown.fingerprint, fingerprint))
      throw changed(id, "has another public key than was registered: the token's key was exchanged");
    const none: Signatures = { asked: 0, waiting: [], willLook: false, timer: undefined, forgotten: false };
    if (curve === "ED25519") return { ...none, curve, key: spkiKeyObject(shown.spki) };
    return { ...none, curve, key: await OpensslKey.ofPublicKey(curve, shown.spki) };
  }

  /** Those who have waited for the key use it first. */
  #forget(name: string): void {
    const loading = this.#keys.get(name);
    this.#keys.delete(name);
    loading?.then(
      (loaded) =>
        setImmediate(() => {
          loaded.forgotten = true;
          freeIfUnused(loaded);
        }),
      () => undefined,
    );
  }
}

/** Looks once all that has arrived together is there. */
function lookSoon(loaded: LoadedKey): void {
  if (loaded.willLook) return;
  loaded.willLook = true;
  process.nextTick(() => {
    loaded.willLook = false;
    const { waiting, asked } = loaded;
    // A third of all: more would leave the token idle, fewer cost a verification each.
    if (2 * waiting.length >= asked) settle(loaded);
    else if (waiting.length > 0) loaded.timer ??= setTimeout(() => settle(loaded), longestWaitMs);
  });
}

function freeIfUnused({ forgotten, asked, waiting, willLook, key }: LoadedKey): void {
  if (forgotten && asked === 0 && waiting.length === 0 && !willLook && key instanceof OpensslKey) key[Symbol.dispose]();
}

function settle(loaded: LoadedKey): void {
  clearTimeout(loaded.timer);
  loaded.timer = undefined;
  let waiting = loaded.waiting.splice(0);
  while (waiting.length > 0) {
    const last = waiting.reduce((latest, each) => (each.signed.beganMs > latest.signed.beganMs ? each : latest));
    let holds: boolean;
    try {
      holds = verifies(loaded, last);
    } catch (error) {
      // Nobody waits for this function but Node: what it throws would end the process.
      last.reject(error);
      waiting = waiting.filter((each) => each !== last);
      continue;
    }
    const { nonce, beganMs } = last.signed;
    const isSettled = (each: Waiting) =>
      each === last || (holds && each.signed.nonce === nonce && each.signed.endedMs <= beganMs);
    for (const each of waiting.filter(isSettled))
      if (holds) each.resolve({ raw: each.signed.raw, der: each.der });
      else each.reject(wrong(each.signer.id));
    waiting = waiting.filter((each) => !isSettled(each));
  }
  freeIfUnused(loaded);
}

function verifies(loaded: LoadedKey, { input, signed, der }: Waiting): boolean {
  if (loaded.curve === "ED25519") return verify(null, input, loaded.key, signed.raw);
  return der !== undefined && loaded.key.verifyDigest(algorithmOfCurve[loaded.curve], input, der);
}

function wrong(id: Buffer): DeviceError {
  return changed(
    id,
    "made a signature that its public key does not verify: the private key does not belong to it any more, or the token signs wrongly",
  );
}

function changed(id: Buffer, what: string): DeviceError {
  return deviceErrorOf(
    new DeviceFault({
      kind: "integrity",
      code: "KEY_CHANGED",
      message: `the token's key of id ${id.toString("hex")} ${what}`,
    }),
  );
}
