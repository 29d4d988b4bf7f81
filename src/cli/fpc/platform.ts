import { resolve } from "node:path";
import { Command } from "commander";
import { type OutputOptions, printData, tell, withJson } from "../output.ts";
import { tellingRefusals } from "./refusal.ts";

/** `strongroom fpc platform`: what an organisation's hosts need before their first enclave, off a trial network. */
export function platformCommand(): Command {
  const platform = new Command("platform").description(
    "what a host needs before its first enclave: a platform whose quotes the channel believes",
  );
  platform.addCommand(
    withJson(new Command("root").argument("<dir>", "a folder for it, made where it is not there"))
      .description("make an organisation's attestation root: root.pem for the policy document, and its key")
      .requiredOption("--name <text>", "whose it is: the certificate's common name")
      .action(root),
  );
  platform.addCommand(
    withJson(new Command("certify").argument("<dir>", "the platform's folder, made where it is not there"))
      .description("vouch for this machine's platform by the organisation's root: a TPM, or a simulated one")
      .requiredOption("--root <dir>", "the root's folder")
      .requiredOption("--name <text>", "the host's name, for the certificate")
      .option("--tcti <tcti>", "where the TPM is, such as device:/dev/tpmrm0; left out: a simulated platform is made")
      .addHelpText(
        "after",
        `
The folder is "platform" under host.tee of the connection settings, of kind tpm with the same tcti, or of kind process. Who
certifies a TPM vouches that it is a real one and this machine's. A simulated platform protects from nothing: for trials only.
SGX under Gramine needs no platform's folder: its quotes are believed under Intel's root.

Example:
  strongroom fpc platform root ./attestation-root --name "Org1 enclave hosts"
  strongroom fpc platform certify ./tpm --root ./attestation-root --name host-1 --tcti device:/dev/tpmrm0`,
      )
      .action(certify),
  );
  return platform;
}

async function root(folder: string, options: OutputOptions & { readonly name: string }): Promise<void> {
  const { createAttestationRoot } = await import("../../enclave/tee/attestation-root.ts");
  const { pem } = await tellingRefusals(async () => await createAttestationRoot(folder, options.name));
  printData(options, { folder: resolve(folder), root: pem }, () => pem.trimEnd());
  tell(
    `keep ${resolve(folder, "root-key.pem")} off the hosts: whoever has it makes platforms that the channel believes`,
  );
}

interface CertifyOptions extends OutputOptions {
  readonly root: string;
  readonly name: string;
  readonly tcti?: string;
}

async function certify(folder: string, options: CertifyOptions): Promise<void> {
  const { root: rootFolder, name, tcti } = options;
  const { openAttestationRoot } = await import("../../enclave/tee/attestation-root.ts");
  const { createProcessPlatform } = await import("../../enclave/tee/process/platform.ts");
  const { certifyTpm } = await import("../../enclave/tee/tpm/attestation-key.ts");
  await tellingRefusals(async () => {
    const authority = await openAttestationRoot(rootFolder);
    if (tcti === undefined) await createProcessPlatform(folder, authority, name);
    else await certifyTpm(folder, tcti, authority, name);
  });
  const kind = tcti === undefined ? "process" : "tpm";
  printData(
    options,
    { folder: resolve(folder), kind, name },
    () => `platform of kind ${kind} in ${resolve(folder)}: ${name}`,
  );
  if (kind === "process") tell("it is simulated: who may read its folder is the platform");
}
