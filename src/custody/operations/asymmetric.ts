import { constants, createPublicKey, publicEncrypt } from "node:crypto";
import type { Context } from "../../crypto/context.ts";
import { generateKeyPairOf, type NewKeyPair } from "../../crypto/key-generation.ts";
import { encryptionAlgorithms, isKeyPairSpec, maxEncryptBytes } from "../../crypto/key-specs.ts";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { sm2Encrypt } from "../../crypto/sm2-encryption.ts";
import type { AsymmetricEncryptionAlgorithm, AsymmetricOperations } from "../contract/cryptography.ts";
import type { WrappedKey } from "../contract/data-keys.ts";
import { type Core, performOnAccount, performOnKey } from "../core.ts";
import { DeviceAnswers } from "../device-answers.ts";
import { CustodyError } from "../errors.ts";
import { withinShare } from "../key-pair-shares.ts";
import { mustAllow, mustWrap, publicKeyOf, specifiedDeviceKey } from "../key-use.ts";
import type { Caller, KeySpec } from "../service.ts";
import type { KeyRecord } from "../state/records.ts";
import { dataKeySubject, sealDataKey } from "./data.ts";

const maxPlaintextBytes = 4096;
const maxCiphertextBytes = 6144;
const maxRandomBytes = 1024;
const sm2PointBytes = 65;

type DataKeyPair = WrappedKey & { readonly spki: Buffer; readonly privateKey: SecretBuffer | undefined };

/** Public-key encryption, random bytes, and key pairs for use elsewhere. */
export class Asymmetric implements AsymmetricOperations {
  readonly #core: Core;

  constructor(core: Core) {
    this.#core = core;
  }

  async encrypt(
    caller: Caller,
    input: { key: string; algorithm: AsymmetricEncryptionAlgorithm; plaintext: SecretBuffer },
  ): Promise<{ readonly keyId: string; readonly ciphertext: Buffer }> {
    const { algorithm } = input;
    const bytes = input.plaintext.byteLength;
    checkLength("a plaintext", bytes, maxPlaintextBytes);
    const subject = { action: "kms:Encrypt", reference: input.key, detail: { algorithm, bytes } } as const;
    return performOnKey(this.#core, caller, { ...subject }, (key) => {
      mustAllow(key, "encrypt", algorithm);
      return { value: { keyId: key.id, ciphertext: encryptTo(key, algorithm, input.plaintext) } };
    });
  }

  async decrypt(
    caller: Caller,
    input: { key: string; algorithm: AsymmetricEncryptionAlgorithm; ciphertext: Uint8Array },
  ): Promise<{ readonly keyId: string; readonly plaintext: SecretBuffer }> {
    const { algorithm, ciphertext } = input;
    checkLength("a ciphertext", ciphertext.byteLength, maxCiphertextBytes);
    const subject = { action: "kms:Decrypt", reference: input.key, detail: { algorithm } } as const;
    // Opened once for a key, which has one version for life: a decision that is taken anew asks again only who may.
    let opened: { readonly keyId: string; readonly plaintext: SecretBuffer | undefined } | undefined;
    try {
      return await performOnKey(
        this.#core,
        caller,
        { ...subject },
        async (key) => {
          mustAllow(key, "encrypt", algorithm);
          if (opened?.keyId !== key.id) {
            opened?.plaintext?.[Symbol.dispose]();
            const plaintext = await this.#core.devices.use(key, (device) =>
              device.decrypt(specifiedDeviceKey(key), algorithm, ciphertext),
            );
            opened = { keyId: key.id, plaintext };
          }
          if (opened.plaintext === undefined) throw new CustodyError("WRAP_REFUSED");
          return { value: { keyId: key.id, plaintext: opened.plaintext.clone() } };
        },
        (value) => value.plaintext[Symbol.dispose](),
      );
    } finally {
      opened?.plaintext?.[Symbol.dispose]();
    }
  }

  async generateRandom(caller: Caller, bytes: number): Promise<SecretBuffer> {
    if (!Number.isInteger(bytes)) throw new CustodyError("INPUT_INVALID", `a number of bytes is whole, got ${bytes}`);
    checkLength("an answer", bytes, maxRandomBytes);
    return performOnAccount(
      this.#core,
      caller,
      { action: "kms:GenerateRandom", detail: { bytes } },
      () => ({ value: SecretBuffer.random(bytes) }),
      (value) => value[Symbol.dispose](),
    );
  }

  /** The pair is made once, after the caller was found to be allowed; it outlasts a decision that is taken anew. */
  async generateDataKeyPair(
    caller: Caller,
    input: { key: string; context: Context; spec: KeySpec; withPlaintext: boolean },
  ): Promise<DataKeyPair> {
    const { spec, context, withPlaintext } = input;
    if (!isKeyPairSpec(spec)) throw new CustodyError("INPUT_INVALID", `there are no key pairs of spec ${spec}`);
    const action = withPlaintext ? "kms:GenerateDataKeyPair" : "kms:GenerateDataKeyPairWithoutPlaintext";
    let made: NewKeyPair | undefined;
    using answers = new DeviceAnswers();
    try {
      return await performOnKey(
        this.#core,
        caller,
        dataKeySubject(action, input, { keyPairSpec: spec }),
        async (key) => {
          mustWrap(key);
          made ??= await withinShare(caller, spec, () => generateKeyPairOf(spec));
          const wrapped = await sealDataKey(this.#core, key, context, made.pkcs8, answers);
          const privateKey = withPlaintext ? made.pkcs8.clone() : undefined;
          return { value: { ...wrapped, spki: made.spki, privateKey } };
        },
        (value) => value.privateKey?.[Symbol.dispose](),
      );
    } finally {
      made?.pkcs8[Symbol.dispose]();
    }
  }
}

/**
 * Encrypts to a key pair's public half.
 *
 * @throws {CustodyError} `INPUT_INVALID` for a plaintext that is too long for the key.
 */
export function encryptTo(key: KeyRecord, algorithm: AsymmetricEncryptionAlgorithm, plaintext: SecretBuffer): Buffer {
  const spki = publicKeyOf(key);
  const { scheme, hash } = encryptionAlgorithms[algorithm];
  const most = isKeyPairSpec(key.spec) ? maxEncryptBytes(key.spec, algorithm) : 0;
  if (plaintext.byteLength > most)
    throw new CustodyError(
      "INPUT_INVALID",
      `Algorithm ${algorithm} and key spec ${key.spec} cannot encrypt data larger than ${most} bytes.`,
    );
  if (scheme === "sm2") return plaintext.expose((bytes) => sm2Encrypt(spki.subarray(-sm2PointBytes), bytes, "asn1"));
  const publicKey = createPublicKey({ key: spki, format: "der", type: "spki" });
  const options = { key: publicKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: hash };
  return plaintext.expose((bytes) => publicEncrypt(options, bytes));
}

function checkLength(what: string, bytes: number, most: number): void {
  if (bytes < 1 || bytes > most)
    throw new CustodyError("INPUT_INVALID", `${what} has 1 to ${most} bytes, got ${bytes}`);
}
