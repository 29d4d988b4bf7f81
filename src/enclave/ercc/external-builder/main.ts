import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { EnclaveError, enclaveErrors, toAbortText } from "../../errors.ts";
import { connectionFile, packageType, readConnection, readPackageType } from "./package-form.ts";
import {
  privateChaincodeFile,
  privateChaincodeType,
  readPrivateChaincode,
  readRunMetadata,
} from "./private-chaincode.ts";

/**
 * An external builder of Fabric's peers: bin/external-builder's scripts call this with their name and the folders that the peer
 * gives them. Nothing is built. Of chaincode that runs as a service peers need to know where; private chaincode they start
 * themselves, as nothing is released for it.
 */
const steps: Readonly<Record<string, (folders: readonly string[]) => Promise<boolean>>> = {
  /** SOURCE METADATA: exit code 0 means that the package is for this builder, 1 that it is another's. */
  async detect([, metadata = ""]) {
    const type = await readPackageType(metadata);
    return type === packageType || type === privateChaincodeType;
  },
  /** SOURCE METADATA OUTPUT */
  async build([source = "", metadata = "", output = ""]) {
    if ((await readPackageType(metadata)) === privateChaincodeType)
      await write(output, privateChaincodeFile, await readPrivateChaincode(source));
    else await write(output, connectionFile, await readConnection(source));
    return true;
  },
  /** OUTPUT RELEASE: what is put here the peer reads. */
  async release([output = "", release = ""]) {
    if (await isPrivateChaincode(output)) return true;
    const folder = join(release, "chaincode", "server");
    await mkdir(folder, { recursive: true });
    await write(folder, connectionFile, await readConnection(output));
    return true;
  },
  /** OUTPUT RUN_METADATA: runs until the peer ends it. */
  async run([output = "", metadata = ""]) {
    const { builderFolderVariable, runPrivateChaincode } = await import("../../ecc/hosting/run.ts");
    const folder = process.env[builderFolderVariable];
    if (folder === undefined || !folder.startsWith("/"))
      throw new EnclaveError("SETTINGS_INVALID", `${builderFolderVariable} does not name the builder's folder`, {
        hint: "set it for the peer, and name it in propagateEnvironment of core.yaml",
      });
    await runPrivateChaincode(folder, await readPrivateChaincode(output), await readRunMetadata(metadata));
    return true;
  },
};
const folderCounts: Readonly<Record<string, number>> = { detect: 2, build: 3, release: 2, run: 2 };

async function isPrivateChaincode(output: string): Promise<boolean> {
  try {
    await readPrivateChaincode(output);
    return true;
  } catch (error) {
    if (error instanceof EnclaveError && error.code === "NOT_FOUND") return false;
    throw error;
  }
}

/** The client key that a connection may have is for the peer alone. */
async function write(folder: string, name: string, content: object): Promise<void> {
  await writeFile(join(folder, name), `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600, flag: "wx" });
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
