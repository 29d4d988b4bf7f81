import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { EnclaveError, enclaveErrors, toAbortText } from "../../errors.ts";
import { connectionFile, isForBuilder, readConnection } from "./package-form.ts";

/**
 * An external builder of Fabric's peers for chaincode that runs as a service: bin/external-builder's scripts call this with
 * their name and the folders that the peer gives them. Nothing is built; what peers need is where the service is.
 */
const steps: Readonly<Record<string, (folders: readonly string[]) => Promise<boolean>>> = {
  /** SOURCE METADATA: exit code 0 means that the package is for this builder, 1 that it is another's. */
  async detect([, metadata = ""]) {
    return await isForBuilder(metadata);
  },
  /** SOURCE METADATA OUTPUT */
  async build([source = "", , output = ""]) {
    await write(output, await readConnection(source));
    return true;
  },
  /** OUTPUT RELEASE: what is put here the peer reads. */
  async release([output = "", release = ""]) {
    const folder = join(release, "chaincode", "server");
    await mkdir(folder, { recursive: true });
    await write(folder, await readConnection(output));
    return true;
  },
};
const folderCounts: Readonly<Record<string, number>> = { detect: 2, build: 3, release: 2 };

/** The client key that a connection may have is for the peer alone. */
async function write(folder: string, connection: object): Promise<void> {
  await writeFile(join(folder, connectionFile), `${JSON.stringify(connection, null, 2)}\n`, {
    mode: 0o600,
    flag: "wx",
  });
}

const [name = "", ...folders] = process.argv.slice(2);
try {
  const step = steps[name];
  if (step === undefined || folders.length !== folderCounts[name])
    throw new EnclaveError("SETTINGS_INVALID", `${name} with ${folders.length} folders is no step of a builder`);
  process.exitCode = (await step(folders)) ? 0 : 1;
} catch (error) {
  console.error(`external-builder ${name}: ${error instanceof EnclaveError ? toAbortText(error) : String(error)}`);
  process.exitCode = error instanceof EnclaveError ? enclaveErrors[error.code].exit : 1;
}
