import type { Context } from "../../../crypto/context.ts";
import { SecretBuffer } from "../../../crypto/secret-buffer.ts";
import type { SealedFor, TeeBackend } from "../backend.ts";
import { keyManagedVersion, requireSealVersion, sealUnder, unsealFailed, unsealUnder } from "../sealing.ts";
import { makeEnclaveKey, releaseEnclaveKey, type WrappedEnclaveKey } from "./release.ts";
import type { KeyManagerSettings } from "./settings.ts";

/** Before the header of the blob in what the platform binds: what it seals here is no state yet. */
const innerPurpose = Buffer.from("strongroom/fpc/v1/seal/key-manager\0");

/**
 * A platform whose sealed state opens only with the word of a key manager as well: the state is under a key of this enclave that
 * the key manager made and wrapped, and all of it, that wrapped key too, under the platform's own seal. The key is asked for
 * once, when the state is made or opened. It works over every kind of platform, whose measurement and quotes stay as they are.
 */
export class KeyManagedBackend implements TeeBackend {
  readonly kind: TeeBackend["kind"];
  readonly protectsFromRoot: boolean;
  readonly #platform: TeeBackend;
  readonly #settings: KeyManagerSettings;
  #held: (WrappedEnclaveKey & { readonly key: SecretBuffer }) | undefined;

  /** Becomes the owner of the platform. */
  constructor(platform: TeeBackend, settings: KeyManagerSettings) {
    this.kind = platform.kind;
    this.protectsFromRoot = platform.protectsFromRoot;
    this.#platform = platform;
    this.#settings = settings;
  }

  measure(): Promise<string> {
    return this.#platform.measure();
  }

  quote(statement: Uint8Array): Promise<Buffer> {
    return this.#platform.quote(statement);
  }

  /**
   * `version (1) ‖ the platform's seal of (u16 length ‖ context as JSON ‖ u16 length ‖ wrapped key ‖ AES-256-GCM of the state)`.
   *
   * @throws EnclaveError KEY_MANAGER_REFUSED; KEY_MANAGER_UNREACHABLE; KEY_MANAGER_FAILED
   */
  async seal(secret: SecretBuffer, associatedData: Uint8Array, subject?: SealedFor): Promise<Buffer> {
    const { wrapped, context, key } = await this.#keyOf(subject);
    const parts = [Buffer.from(JSON.stringify(context)), wrapped].flatMap((part) => [lengthOf(part), part]);
    using inner = SecretBuffer.take(Buffer.concat([...parts, sealUnder(key, secret, associatedData)]));
    const sealed = await this.#platform.seal(inner, Buffer.concat([innerPurpose, associatedData]));
    return Buffer.concat([Buffer.of(keyManagedVersion), sealed]);
  }

  /** The host may have failed to store an enclave, and have another one created by the same process: its key is another. */
  async #keyOf(subject: SealedFor | undefined) {
    if (subject === undefined) throw new TypeError("a key manager is told whose state is sealed");
    if (this.#held?.context.enclave === subject.enclaveId) return this.#held;
    const made = await makeEnclaveKey(this.#settings, subject, await this.measure());
    this.#held?.key[Symbol.dispose]();
    this.#held = made;
    return made;
  }

  /** @throws EnclaveError UNSEAL_FAILED; KEY_MANAGER_REFUSED; KEY_MANAGER_UNREACHABLE; KEY_MANAGER_FAILED */
  async unseal(sealed: Uint8Array, associatedData: Uint8Array): Promise<SecretBuffer> {
    requireSealVersion(sealed, keyManagedVersion);
    const bound = Buffer.concat([innerPurpose, associatedData]);
    // Before the key manager is asked: what this platform did not seal is no use of a key.
    using inner = await this.#platform.unseal(sealed.subarray(1), bound);
    const { wrapped, context, state } = readInner(inner);
    const key = await releaseEnclaveKey(this.#settings, { wrapped, context });
    try {
      const secret = unsealUnder(key, state, associatedData);
      this.#held?.key[Symbol.dispose]();
      this.#held = { wrapped, context, key };
      return secret;
    } catch (error) {
      key[Symbol.dispose]();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#held?.key[Symbol.dispose]();
    this.#held = undefined;
    await this.#platform[Symbol.asyncDispose]();
  }
}

function lengthOf(part: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(part.length);
  return length;
}

/** None of it is secret, the state being ciphertext. The platform's seal proves that this code wrote it. */
function readInner(inner: SecretBuffer) {
  const copy = inner.expose((bytes) => Buffer.from(bytes));
  const [context, afterContext] = readPart(copy, 0);
  const [wrapped, afterWrapped] = readPart(copy, afterContext);
  return { context: JSON.parse(context.toString()) as Context, wrapped, state: copy.subarray(afterWrapped) };
}

function readPart(bytes: Buffer, at: number): readonly [Buffer, number] {
  if (bytes.length < at + 2) throw unsealFailed();
  const end = at + 2 + bytes.readUInt16BE(at);
  if (bytes.length < end) throw unsealFailed();
  return [bytes.subarray(at + 2, end), end];
}
