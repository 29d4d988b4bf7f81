import { createPublicKey, type KeyObject } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { EnclaveError } from "../../errors.ts";
import { type AttestationRoot, certifyQuotingKey, checkCommonName } from "../attestation-root.ts";
import { writeNewFile } from "../new-file.ts";
import { TpmTools } from "./tools.ts";

/**
 * fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, restricted, sign (TPM 2.0 part 2, section 8.3): a key made in this
 * TPM, that never leaves it, and signs nothing that looks like a quote but is none.
 */
const restrictedSigner = 0x0005_0072;
const attributes = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|sign";

export function attestationCertificateFile(platform: string): string {
  return join(platform, "attestation-certificate.der");
}

/** Makes the attestation key, a primary key that the TPM derives from its endorsement seed, so that it is the same each time. */
export async function loadAttestationKey(tools: TpmTools, folder: string): Promise<string> {
  const context = join(folder, "attestation-key.ctx");
  const algorithm = "ecc256:ecdsa-sha256:null";
  await tools.run("tpm2_createprimary", ["-Q", "-C", "e", "-G", algorithm, "-a", attributes, "-c", context]);
  return context;
}

/**
 * Certifies this machine's TPM for a channel: its attestation key by an organisation's root, as a file of the platform's folder.
 * Who does this vouches that the TPM is a real one and this machine's; a certificate of the maker is not asked for.
 *
 * @throws EnclaveError CONFLICT: it is certified already; SETTINGS_INVALID: the name, or the TPM does not answer
 */
export async function certifyTpm(
  platform: string,
  tcti: string,
  root: AttestationRoot,
  name: string,
  nowMs = Date.now(),
): Promise<void> {
  checkCommonName(name);
  const tools = new TpmTools(tcti);
  const key = await tools.work(async (folder) => await readAttestationKey(tools, folder));
  const certificate = await certifyQuotingKey(root, key, "tpm", name, nowMs);
  await writeNewFile(attestationCertificateFile(platform), certificate, 0o644);
}

async function readAttestationKey(tools: TpmTools, folder: string): Promise<KeyObject> {
  const context = await loadAttestationKey(tools, folder);
  const [pem, tss] = [join(folder, "key.pem"), join(folder, "key.pub")];
  await tools.run("tpm2_readpublic", ["-Q", "-c", context, "-f", "pem", "-o", pem]);
  await tools.run("tpm2_readpublic", ["-Q", "-c", context, "-f", "tss", "-o", tss]);
  // TPM2B_PUBLIC: size (2), type (2), name algorithm (2), attributes (4).
  if ((await readFile(tss)).readUInt32BE(6) !== restrictedSigner)
    throw new EnclaveError("SETTINGS_INVALID", "the TPM's attestation key is not a restricted signing key");
  return createPublicKey(await readFile(pem));
}
