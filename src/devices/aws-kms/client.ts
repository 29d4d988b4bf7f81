import type { KMSClient } from "@aws-sdk/client-kms";
import type { Context } from "../../crypto/context.ts";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { AwsKmsError } from "./errors.ts";
import { type Asked, failureOf } from "./failures.ts";
import { type AwsKmsSettings, checkSecret, checkSettings, endpointOf, isKeyAskedFor } from "./settings.ts";
import { RequestSigner } from "./signer.ts";
import { Transport } from "./transport.ts";

export interface AwsKmsTimes {
  /** For a call in all, every attempt and pause, in milliseconds. @defaultValue `8000` */
  readonly deadlineMs?: number;
  /** For one attempt, in milliseconds. @defaultValue `3000` */
  readonly attemptMs?: number;
  /** Unavailable, throttling or silent: how often one call is sent. @defaultValue `3` */
  readonly attempts?: number;
}

/** A data key as the KMS wrapped it. */
export interface WrappedByKms {
  /** ARN of the master key. */
  readonly keyArn: string;
  /** `CiphertextBlob`: opaque, and it names its master key to the KMS. */
  readonly blob: Buffer;
}

/** A key pair's public half, as the KMS shows it. */
export interface KmsPublicKey {
  readonly keyArn: string;
  /** `KeySpec`, such as `ECC_SECG_P256K1`. */
  readonly spec: string;
  /** `KeyUsage`, such as `SIGN_VERIFY`. */
  readonly usage: string;
  /** SubjectPublicKeyInfo, DER, not looked at. */
  readonly spki: Buffer;
}

/** Algorithms whose digests have 32 bytes. `SM2DSA`: the digest is e = SM3(ZA ‖ message). */
export type KmsSigningAlgorithm = "ECDSA_SHA_256" | "SM2DSA";

interface OpenSdk {
  readonly sdk: Sdk;
  readonly client: KMSClient;
}

type Sdk = typeof import("@aws-sdk/client-kms");

const maxBlobBytes = 6144;
const maxSpkiBytes = 1024;
/** SEQUENCE of two INTEGERs of at most 33 bytes. */
const maxSignatureBytes = 72;

/**
 * A KMS that speaks AWS's protocol: AWS itself, another Strongroom, or anything like them. Its credentials are the ones
 * that it is given: nothing is read from the environment, from files or from the machine's metadata service.
 *
 * Every call throws `AwsKmsError` and nothing else. The SDK is loaded at the first call.
 */
export class AwsKmsClient implements Disposable {
  readonly #settings: AwsKmsSettings;
  readonly #secret: SecretBuffer;
  readonly #times: Required<AwsKmsTimes>;
  /** By the number of attempts. */
  readonly #opened = new Map<number, Promise<OpenSdk>>();

  /**
   * @param secret - The secret access key; copied, so it stays the caller's to dispose of.
   * @throws {AwsKmsError} `KMS_SETTINGS_INVALID`.
   */
  constructor(settings: AwsKmsSettings, secret: SecretBuffer, times: AwsKmsTimes = {}) {
    this.#settings = checkSettings(settings);
    checkSecret(secret);
    this.#secret = secret.clone();
    this.#times = { deadlineMs: 8000, attemptMs: 3000, attempts: 3, ...times };
  }

  /** The master key that calls are about unless they name another. */
  get masterKey(): string {
    return this.#settings.masterKey;
  }

  /** A fresh data key of `bytes` bytes, plain and wrapped. The caller disposes of `plaintext`. */
  async generateDataKey(
    bytes: number,
    context: Context,
    masterKey: string = this.masterKey,
  ): Promise<WrappedByKms & { readonly plaintext: SecretBuffer }> {
    const { asked, answer } = await this.#ask(masterKey, ({ GenerateDataKeyCommand }, client, options) =>
      client.send(
        new GenerateDataKeyCommand({ KeyId: masterKey, NumberOfBytes: bytes, EncryptionContext: context }),
        options,
      ),
    );
    const plaintext = secretOf(answer.Plaintext, asked);
    try {
      if (plaintext.byteLength !== bytes) throw invalidAnswer(asked);
      return { ...wrappedOf(answer, asked), plaintext };
    } catch (error) {
      plaintext[Symbol.dispose]();
      throw error;
    }
  }

  /** A fresh data key of `bytes` bytes, wrapped alone: {@link decrypt} gives its plaintext. */
  async generateDataKeyWithoutPlaintext(
    bytes: number,
    context: Context,
    masterKey: string = this.masterKey,
  ): Promise<WrappedByKms> {
    const { asked, answer } = await this.#ask(
      masterKey,
      ({ GenerateDataKeyWithoutPlaintextCommand }, client, options) =>
        client.send(
          new GenerateDataKeyWithoutPlaintextCommand({
            KeyId: masterKey,
            NumberOfBytes: bytes,
            EncryptionContext: context,
          }),
          options,
        ),
    );
    return wrappedOf(answer, asked);
  }

  /** Opens what was wrapped under this very master key and context. The caller disposes of `plaintext`. */
  async decrypt(
    blob: Uint8Array,
    context: Context,
    masterKey: string = this.masterKey,
  ): Promise<{ readonly keyArn: string; readonly plaintext: SecretBuffer }> {
    const { asked, answer } = await this.#ask(masterKey, ({ DecryptCommand }, client, options) =>
      client.send(new DecryptCommand({ KeyId: masterKey, CiphertextBlob: blob, EncryptionContext: context }), options),
    );
    const plaintext = secretOf(answer.Plaintext, asked);
    if (isKeyAskedFor(answer.KeyId, masterKey)) return { keyArn: answer.KeyId, plaintext };
    plaintext[Symbol.dispose]();
    throw invalidAnswer(asked);
  }

  /** The public half of a key pair. */
  async publicKey(key: string = this.masterKey): Promise<KmsPublicKey> {
    const { asked, answer } = await this.#ask(key, ({ GetPublicKeyCommand }, client, options) =>
      client.send(new GetPublicKeyCommand({ KeyId: key }), options),
    );
    const { KeyId, KeySpec, KeyUsage, PublicKey } = answer;
    const named = typeof KeySpec === "string" && typeof KeyUsage === "string";
    if (!isKeyAskedFor(KeyId, key) || !named || !isShort(PublicKey, maxSpkiBytes)) throw invalidAnswer(asked);
    return { keyArn: KeyId, spec: KeySpec, usage: KeyUsage, spki: Buffer.from(PublicKey) };
  }

  /**
   * Signs a 32-byte digest. It is sent once: whether a KMS that did not answer has signed is not known (`effect` of the
   * failure), and whoever asked decides whether to ask again.
   *
   * @returns The signature in DER as the KMS gave it, neither parsed nor verified.
   */
  async sign(
    digest: Uint8Array,
    algorithm: KmsSigningAlgorithm,
    key: string = this.masterKey,
  ): Promise<{ readonly keyArn: string; readonly signature: Buffer }> {
    if (digest.length !== 32) throw new RangeError(`a digest for ${algorithm} has 32 bytes, got ${digest.length}`);
    const { asked, answer } = await this.#ask(
      key,
      ({ SignCommand }, client, options) =>
        client.send(
          new SignCommand({ KeyId: key, Message: digest, MessageType: "DIGEST", SigningAlgorithm: algorithm }),
          options,
        ),
      1,
    );
    const { KeyId, Signature, SigningAlgorithm } = answer;
    const same = isKeyAskedFor(KeyId, key) && SigningAlgorithm === algorithm;
    if (!same || !isShort(Signature, maxSignatureBytes)) throw invalidAnswer(asked);
    return { keyArn: KeyId, signature: Buffer.from(Signature) };
  }

  /** Ends the connections and wipes the secret. */
  [Symbol.dispose](): void {
    this.#secret[Symbol.dispose]();
    for (const opened of this.#opened.values())
      opened.then(
        ({ client }) => client.destroy(),
        () => {},
      );
    this.#opened.clear();
  }

  async #ask<T>(
    masterKey: string,
    send: (sdk: Sdk, client: KMSClient, options: { abortSignal: AbortSignal }) => Promise<T>,
    attempts: number = this.#times.attempts,
  ): Promise<{ readonly asked: Asked; readonly answer: T }> {
    const { apiKey } = this.#settings;
    const { attemptMs } = this.#times;
    const deadlineMs = attempts === 1 ? Math.min(attemptMs, this.#times.deadlineMs) : this.#times.deadlineMs;
    const asked = { masterKey, apiKey, endpoint: endpointOf(this.#settings), deadlineMs };
    const deadline = AbortSignal.timeout(deadlineMs);
    try {
      if (this.#secret.disposed)
        throw new AwsKmsError("KMS_UNREACHABLE", "the connection to the KMS was closed", undefined, "none");
      const opened = this.#opened.get(attempts) ?? this.#open(attempts);
      this.#opened.set(attempts, opened);
      const { sdk, client } = await opened;
      return { asked, answer: await send(sdk, client, { abortSignal: deadline }) };
    } catch (error) {
      throw failureOf(error, asked);
    }
  }

  /** Every setting that the SDK would look for in the environment or in files is given, so that it looks for none. */
  async #open(attempts: number): Promise<OpenSdk> {
    const sdk = await import("@aws-sdk/client-kms");
    const { region, apiKey, caPem } = this.#settings;
    const { attemptMs } = this.#times;
    const client = new sdk.KMSClient({
      region,
      endpoint: endpointOf(this.#settings),
      // Only its id is asked for: the signer has the secret.
      credentials: { accessKeyId: apiKey, secretAccessKey: "held by the signer" },
      signer: new RequestSigner(apiKey, region, this.#secret),
      requestHandler: new Transport({ attemptMs, caPem }),
      maxAttempts: attempts,
      retryMode: "standard",
      defaultsMode: "standard",
      authSchemePreference: [],
      useDualstackEndpoint: false,
      useFipsEndpoint: false,
      disableClockSkewCorrection: false,
      userAgentAppId: "strongroom",
    });
    return { sdk, client };
  }
}

/** The SDK's answer as ours. What it came in is wiped; the text that the SDK made of the answer is not in our hands. */
function secretOf(bytes: Uint8Array | undefined, asked: Asked): SecretBuffer {
  if (!(bytes instanceof Uint8Array) || bytes.length === 0) throw invalidAnswer(asked);
  return SecretBuffer.take(bytes);
}

function wrappedOf(
  { KeyId, CiphertextBlob }: { readonly KeyId?: string | undefined; readonly CiphertextBlob?: Uint8Array | undefined },
  asked: Asked,
): WrappedByKms {
  const usable = CiphertextBlob !== undefined && CiphertextBlob.length > 0 && CiphertextBlob.length <= maxBlobBytes;
  if (!isKeyAskedFor(KeyId, asked.masterKey) || !usable) throw invalidAnswer(asked);
  return { keyArn: KeyId, blob: Buffer.from(CiphertextBlob) };
}

function isShort(bytes: unknown, most: number): bytes is Uint8Array {
  return bytes instanceof Uint8Array && bytes.length > 0 && bytes.length <= most;
}

function invalidAnswer({ endpoint }: Asked): AwsKmsError {
  return new AwsKmsError("KMS_ANSWER_INVALID", `what ${endpoint} answered is not a KMS's answer`);
}
