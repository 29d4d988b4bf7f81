import { OpensslKey } from "../../crypto/openssl-key.ts";
import { sm2SignatureToDer } from "../../crypto/sm2.ts";
import type { NativeDeviceHealth } from "../native/device-events.ts";
import type { PoolSettings } from "../native/pool-settings.ts";
import type { SecretSource } from "../native/secret-source.ts";
import { CardCalls } from "./card-calls.ts";
import { openSdfCalls, type SdfDeviceOptions, sm2Spki } from "./device.ts";
import { keyNotExpected, signedWrongly } from "./material.ts";

/** A chain node's key in a card. */
export interface SdfSigner extends AsyncDisposable {
  /** X ‖ Y, 64 bytes. */
  readonly publicKey: Buffer;
  /**
   * r ‖ s (64 bytes) over e = SM3(ZA ‖ message), 32 bytes. A signature that did not come back is not asked for again here:
   * whether the card made it is not known. Each is verified with {@link publicKey} by OpenSSL before it is given out.
   *
   * @throws {DeviceError} `DEVICE_KEY_CHANGED` when the card no longer shows {@link publicKey}, or has signed by another key, or what
   *   the card answered.
   */
  sign(digest: Uint8Array): Promise<Buffer>;
  health(): NativeDeviceHealth;
  /** Gives the rights back and ends the card's process. */
  close(): Promise<void>;
}

export interface SdfSignerOptions extends Pick<SdfDeviceOptions, "library" | "name" | "environment" | "tell"> {
  /** @defaultValue `"gmt0018"` */
  readonly profile?: string;
  readonly keyIndex: number;
  /** Left out for a card that asks for none. */
  readonly pin?: SecretSource;
  readonly pool?: Partial<PoolSettings>;
  /** X ‖ Y that the card must show, where it is known beforehand. */
  readonly publicKey?: Uint8Array;
}

/**
 * Opens a card for one signing key.
 *
 * @throws {DeviceError} As `openSdfDevice`; `DEVICE_KEY_CHANGED` when the index shows another public key than expected.
 */
export async function openSdfSigner(options: SdfSignerOptions): Promise<SdfSigner> {
  const { profile = "gmt0018", keyIndex, publicKey: expected, ...rest } = options;
  const native = await openSdfCalls({ ...rest, profile, keyIndices: [keyIndex] });
  const card = new CardCalls(native);
  let verifier: OpensslKey | undefined;
  const close = async (): Promise<void> => {
    await native[Symbol.asyncDispose]();
    verifier?.[Symbol.dispose]();
  };
  try {
    const publicKey = await card.signPublicKey(keyIndex);
    if (expected !== undefined && !publicKey.equals(expected)) throw keyNotExpected(keyIndex);
    const key = await OpensslKey.ofPublicKey("SM2", sm2Spki(publicKey));
    verifier = key;
    return {
      publicKey,
      sign: async (digest) => {
        const signature = await card.sign(keyIndex, digest, publicKey);
        if (!key.verifyDigest("SM2DSA", digest, sm2SignatureToDer(signature))) throw signedWrongly(keyIndex);
        return signature;
      },
      health: () => native.health(),
      close,
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
