import { createHash } from "node:crypto";
import { open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { SecretBuffer } from "../../../crypto/secret-buffer.ts";
import { EnclaveError } from "../../errors.ts";
import { writeAttestation } from "../../evidence/attestation-json.ts";
import { readDcapReport } from "../../evidence/dcap.ts";
import type { TeeBackend } from "../backend.ts";
import { requireSealVersion, sealingKey, sealUnder, sealVersion, unsealUnder } from "../sealing.ts";

export interface GramineBackendOptions {
  /** @defaultValue `/dev/attestation` */
  readonly folder?: string;
}

const keyBytes = 16;
const reportDataBytes = 64;
const targetInfoBytes = 512;

/**
 * Intel SGX through Gramine's pseudo-files: `attestation_type` (`dcap`), `my_target_info`, `user_report_data`, `quote`, and
 * `keys/_sgx_mrenclave`, the key that the processor derives for this very code. Gramine must not use that key for encrypted
 * files as well.
 *
 * @throws EnclaveError SETTINGS_INVALID: this is no Gramine with DCAP
 */
export async function openGramineBackend(options: GramineBackendOptions = {}): Promise<TeeBackend> {
  const folder = options.folder ?? "/dev/attestation";
  const type = (await readDevice(join(folder, "attestation_type"))).toString("utf8").trim();
  if (type !== "dcap") throw new EnclaveError("SETTINGS_INVALID", `${folder} offers no attestation by DCAP`);
  const targetInfo = await readDevice(join(folder, "my_target_info"));
  if (targetInfo.length !== targetInfoBytes) throw malformed(folder, "my_target_info");
  // TARGETINFO begins with MRENCLAVE.
  const measurement = targetInfo.subarray(0, 32).toString("hex").toUpperCase();
  using platformKey = SecretBuffer.take(await readDevice(join(folder, "keys", "_sgx_mrenclave")));
  if (platformKey.byteLength !== keyBytes) throw malformed(folder, "keys/_sgx_mrenclave");
  return new GramineBackend(folder, measurement, sealingKey(platformKey, measurement, "gramine"));
}

class GramineBackend implements TeeBackend {
  readonly kind = "gramine";
  readonly protectsFromRoot = true;
  readonly #folder: string;
  readonly #measurement: string;
  readonly #key: SecretBuffer;
  #last: Promise<unknown> = Promise.resolve();

  constructor(folder: string, measurement: string, key: SecretBuffer) {
    this.#folder = folder;
    this.#measurement = measurement;
    this.#key = key;
  }

  async measure(): Promise<string> {
    return this.#measurement;
  }

  /** One at a time: what is asked and what is answered are two files. */
  async quote(statement: Uint8Array): Promise<Buffer> {
    const turn = this.#last.then(async () => await this.#quote(statement));
    this.#last = turn.catch(() => undefined);
    return await turn;
  }

  async #quote(statement: Uint8Array): Promise<Buffer> {
    const reportData = Buffer.alloc(reportDataBytes);
    reportData.set(createHash("sha256").update(statement).digest());
    await writeDevice(join(this.#folder, "user_report_data"), reportData);
    const quote = await readDevice(join(this.#folder, "quote"));
    const report = await readDcapReport(quote).catch(() => undefined);
    if (report?.measurement !== this.#measurement || !report.reportData.equals(reportData))
      throw malformed(this.#folder, "quote");
    return writeAttestation("sgx-dcap", { quote: quote.toString("base64") });
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

async function readDevice(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (cause) {
    throw new EnclaveError("SETTINGS_INVALID", `${path} cannot be read: this is no Gramine, or its manifest lacks it`, {
      cause,
    });
  }
}

async function writeDevice(path: string, bytes: Uint8Array): Promise<void> {
  try {
    await using file = await open(path, "r+");
    await file.write(bytes, 0, bytes.length, 0);
  } catch (cause) {
    throw new EnclaveError("SETTINGS_INVALID", `${path} cannot be written`, { cause });
  }
}

function malformed(folder: string, name: string): EnclaveError {
  return new EnclaveError("SETTINGS_INVALID", `${join(folder, name)} is not of the form that Gramine gives it`);
}
