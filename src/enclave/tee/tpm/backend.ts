import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { SecretBuffer } from "../../../crypto/secret-buffer.ts";
import { EnclaveError } from "../../errors.ts";
import { writeAttestation } from "../../evidence/attestation-json.ts";
import { measuredPcr, tpmExtraData } from "../../evidence/tpm.ts";
import type { TeeBackend } from "../backend.ts";
import { type EnclaveCode, measureCode, ownCode } from "../measure-code.ts";
import { requireSealVersion, sealUnder, sealVersion, unsealFailed, unsealUnder } from "../sealing.ts";
import { attestationCertificateFile, loadAttestationKey } from "./attestation-key.ts";
import { TpmTools } from "./tools.ts";

export interface TpmBackendOptions {
  /** Where `certifyTpm` put the certificate of the TPM's attestation key. */
  readonly platform: string;
  /** Where the TPM is: `device:/dev/tpmrm0`, `swtpm:path=/run/tpm`. */
  readonly tcti: string;
  /** @defaultValue this installation's, as an enclave of a chaincode */
  readonly code?: EnclaveCode;
  /** @defaultValue `Date.now` */
  readonly now?: () => number;
}

const bank = `sha256:${measuredPcr}`;
const noDigest = Buffer.alloc(32);

/**
 * A TPM 2.0: the code's measurement is in a PCR, sealing keys open only while it is, quotes are signed by the TPM over it.
 * A stolen disk, another machine, and other code after the next start of this one get nothing; the host's root, who extends the
 * PCR with whatever it likes and reads the memory of processes, gets all.
 *
 * @throws EnclaveError SETTINGS_INVALID: the TPM or its certificate is not there, or the PCR holds the measurement of other code
 */
export async function openTpmBackend(options: TpmBackendOptions): Promise<TeeBackend> {
  const tools = new TpmTools(options.tcti);
  const certificate = await readFile(attestationCertificateFile(options.platform)).catch((cause: unknown) => {
    throw new EnclaveError("SETTINGS_INVALID", `the TPM has no certificate in ${options.platform}`, {
      cause,
      hint: "have the organisation certify it: strongroom fpc platform certify",
    });
  });
  const code = await measureCode(options.code ?? ownCode(), options.platform);
  const digest = await tools.work(async (folder) => await measureInto(tools, folder, Buffer.from(code, "hex")));
  return new TpmBackend(tools, digest, certificate, options.now ?? Date.now);
}

/** Extends the PCR with the code, once after each start of the machine. */
async function measureInto(tools: TpmTools, folder: string, code: Buffer): Promise<Buffer> {
  const file = join(folder, "pcr");
  const read = async () => {
    await tools.run("tpm2_pcrread", ["-Q", bank, "-o", file]);
    return await readFile(file);
  };
  if ((await read()).equals(noDigest))
    await tools.run("tpm2_pcrextend", ["-Q", `${measuredPcr}:sha256=${code.toString("hex")}`]);
  const digest = await read();
  if (!digest.equals(createHash("sha256").update(noDigest).update(code).digest()))
    throw new EnclaveError(
      "SETTINGS_INVALID",
      `PCR ${measuredPcr} holds the measurement of other code: start the machine again before this code runs on it`,
    );
  return digest;
}

class TpmBackend implements TeeBackend {
  readonly kind = "tpm";
  readonly protectsFromRoot = false;
  readonly #tools: TpmTools;
  /** What the PCR holds while this code and nothing else was measured. */
  readonly #pcr: Buffer;
  readonly #certificate: Buffer;
  readonly #now: () => number;

  constructor(tools: TpmTools, pcr: Buffer, certificate: Buffer, now: () => number) {
    this.#tools = tools;
    this.#pcr = pcr;
    this.#certificate = certificate;
    this.#now = now;
  }

  async measure(): Promise<string> {
    return createHash("sha256").update(this.#pcr).digest("hex").toUpperCase();
  }

  async quote(statement: Uint8Array): Promise<Buffer> {
    const madeAtMs = this.#now();
    const extraData = tpmExtraData(createHash("sha256").update(statement).digest(), madeAtMs);
    return await this.#tools.work(async (folder) => {
      const key = await loadAttestationKey(this.#tools, folder);
      const [attest, signature] = [join(folder, "attest"), join(folder, "signature")];
      const about = ["-l", bank, "-q", extraData.toString("hex"), "-g", "sha256"];
      await this.#tools.run("tpm2_quote", ["-Q", "-c", key, ...about, "-m", attest, "-s", signature]);
      return writeAttestation("tpm", {
        attest: await readFile(attest, "base64"),
        signature: await readFile(signature, "base64"),
        made_at_ms: String(madeAtMs),
        certificate: this.#certificate.toString("base64"),
      });
    });
  }

  /**
   * `version (1) ‖ u16 length ‖ public part ‖ u16 length ‖ private part ‖ sealed`: the parts are of an AES key inside the TPM. It
   * opens under the PCR of this code, whatever the host has extended it with by now.
   */
  async seal(secret: SecretBuffer, associatedData: Uint8Array): Promise<Buffer> {
    using key = SecretBuffer.random(32);
    const parts = await this.#tools.work(async (folder) => {
      const primary = await this.#loadPrimary(folder);
      const [policy, publicPart, privatePart] = ["policy", "public", "private"].map((name) => join(folder, name));
      const pcr = join(folder, "pcr");
      await writeFile(pcr, this.#pcr);
      const where = ["-L", policy ?? "", "-u", publicPart ?? "", "-r", privatePart ?? ""];
      await this.#tools.run("tpm2_createpolicy", ["-Q", "--policy-pcr", "-l", bank, "-f", pcr, "-L", policy ?? ""]);
      const attributes = "fixedtpm|fixedparent|noda";
      await this.#tools.run("tpm2_create", ["-Q", "-C", primary, "-i", "-", "-a", attributes, ...where], key);
      return [await readFile(publicPart ?? ""), await readFile(privatePart ?? "")];
    });
    const head = parts.flatMap((part) => {
      const length = Buffer.alloc(2);
      length.writeUInt16BE(part.length);
      return [length, part];
    });
    return Buffer.concat([Buffer.of(sealVersion), ...head, sealUnder(key, secret, associatedData)]);
  }

  async unseal(sealed: Uint8Array, associatedData: Uint8Array): Promise<SecretBuffer> {
    const bytes = Buffer.from(sealed);
    requireSealVersion(bytes, sealVersion);
    const [publicPart, afterPublic] = readPart(bytes, 1);
    const [privatePart, afterPrivate] = readPart(bytes, afterPublic);
    using key = await this.#tools.work(async (folder) => await this.#openKey(folder, publicPart, privatePart));
    return unsealUnder(key, bytes.subarray(afterPrivate), associatedData);
  }

  async #openKey(folder: string, publicPart: Buffer, privatePart: Buffer): Promise<SecretBuffer> {
    const primary = await this.#loadPrimary(folder);
    const [publicFile, privateFile, context] = [
      join(folder, "public"),
      join(folder, "private"),
      join(folder, "key.ctx"),
    ];
    await writeFile(publicFile, publicPart);
    await writeFile(privateFile, privatePart);
    const load = ["-Q", "-C", primary, "-u", publicFile, "-r", privateFile, "-c", context];
    if (!(await this.#tools.ask("tpm2_load", load)).ok) throw unsealFailed();
    const { ok, stdout } = await this.#tools.ask("tpm2_unseal", ["-c", context, "-p", `pcr:${bank}`]);
    const key = SecretBuffer.take(stdout);
    if (ok && key.byteLength === 32) return key;
    key[Symbol.dispose]();
    throw unsealFailed();
  }

  /** The storage key that the TPM derives from its owner's seed, the same each time. */
  async #loadPrimary(folder: string): Promise<string> {
    const context = join(folder, "primary.ctx");
    await this.#tools.run("tpm2_createprimary", ["-Q", "-C", "o", "-G", "ecc256", "-c", context]);
    return context;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Nothing is held between two calls.
  }
}

function readPart(bytes: Buffer, at: number): readonly [Buffer, number] {
  if (bytes.length < at + 2) throw unsealFailed();
  const end = at + 2 + bytes.readUInt16BE(at);
  if (bytes.length < end) throw unsealFailed();
  return [bytes.subarray(at + 2, end), end];
}
