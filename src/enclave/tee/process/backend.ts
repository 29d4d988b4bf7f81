import { createHash, type KeyObject } from "node:crypto";
import { readFile } from "node:fs/promises";
import { create } from "@bufbuild/protobuf";
import { decodeBase64 } from "../../../crypto/base64.ts";
import { SecretBuffer } from "../../../crypto/secret-buffer.ts";
import { readSecretFile } from "../../../crypto/secret-file.ts";
import { EnclaveError } from "../../errors.ts";
import { writeAttestation } from "../../evidence/attestation-json.ts";
import { SimulatedQuoteSchema } from "../../messages/generated/fpc/evidence_pb.ts";
import { encode } from "../../messages/strict.ts";
import { signMessage } from "../../protocol/signing.ts";
import { readKeyFile } from "../attestation-root.ts";
import type { TeeBackend } from "../backend.ts";
import { type EnclaveCode, measureCode, ownCode } from "../measure-code.ts";
import { requireSealVersion, sealingKey, sealUnder, sealVersion, unsealUnder } from "../sealing.ts";
import { platformFiles, platformSecretBytes } from "./platform.ts";

export interface ProcessBackendOptions {
  /** Where `createProcessPlatform` made the host's platform. */
  readonly platform: string;
  /** @defaultValue this installation's, as an enclave of a chaincode */
  readonly code?: EnclaveCode;
  /** @defaultValue `Date.now` */
  readonly now?: () => number;
}

/**
 * A platform made of files: an operating system process that is an enclave by the word of its host. Its sealing and quotes are
 * real, and hold against everybody but the host's root and whoever may read the platform's files.
 *
 * @throws EnclaveError SETTINGS_INVALID: there is no such platform, or others may read its secrets
 */
export async function openProcessBackend(options: ProcessBackendOptions): Promise<TeeBackend> {
  const files = platformFiles(options.platform);
  using platformSecret = readPlatformSecret(files.secret);
  const quotingKey = readKeyFile(files.quotingKey);
  const certificate = await readCertificateFile(files.certificate);
  const measurement = await measureCode(options.code ?? ownCode(), options.platform);
  const key = sealingKey(platformSecret, measurement, "process");
  return new ProcessBackend(measurement, key, quotingKey, certificate, options.now ?? Date.now);
}

class ProcessBackend implements TeeBackend {
  readonly kind = "process";
  readonly protectsFromRoot = false;
  readonly #measurement: string;
  readonly #key: SecretBuffer;
  readonly #quotingKey: KeyObject;
  readonly #certificate: Buffer;
  readonly #now: () => number;

  constructor(measurement: string, key: SecretBuffer, quotingKey: KeyObject, certificate: Buffer, now: () => number) {
    this.#measurement = measurement;
    this.#key = key;
    this.#quotingKey = quotingKey;
    this.#certificate = certificate;
    this.#now = now;
  }

  async measure(): Promise<string> {
    return this.#measurement;
  }

  async quote(statement: Uint8Array): Promise<Buffer> {
    const quote = encode(
      SimulatedQuoteSchema,
      create(SimulatedQuoteSchema, {
        measurement: this.#measurement,
        statementHash: createHash("sha256").update(statement).digest(),
        madeAtMs: BigInt(this.#now()),
      }),
    );
    return writeAttestation("simulated", {
      quote: quote.toString("base64"),
      signature: signMessage("quote", quote, this.#quotingKey).toString("base64"),
      certificate: this.#certificate.toString("base64"),
    });
  }

  /** `version (1) ‖ sealed`. */
  async seal(secret: SecretBuffer, associatedData: Uint8Array): Promise<Buffer> {
    return Buffer.concat([Buffer.of(sealVersion), sealUnder(this.#key, secret, associatedData)]);
  }

  async unseal(sealed: Uint8Array, associatedData: Uint8Array): Promise<SecretBuffer> {
    requireSealVersion(sealed, sealVersion);
    return unsealUnder(this.#key, sealed.subarray(1), associatedData);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#key[Symbol.dispose]();
  }
}

function readPlatformSecret(path: string): SecretBuffer {
  const refusal = (message: string, { hint = "a host's platform is made by strongroom fpc platform certify" }) =>
    new EnclaveError("SETTINGS_INVALID", message, { hint });
  using text = readSecretFile(path, { what: "platform secret", fileName: "platform secret", refusal });
  const bytes = text.expose((value) => decodeBase64(value));
  if (bytes?.length !== platformSecretBytes)
    throw new EnclaveError("SETTINGS_INVALID", `${path} is not a platform secret`);
  return SecretBuffer.take(bytes);
}

async function readCertificateFile(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (cause) {
    throw new EnclaveError("SETTINGS_INVALID", `${path} cannot be read`, { cause });
  }
}
