import type { CryptoDevice } from "../device.ts";
import type { NativeEntry } from "./entry.ts";
import type { TellOfDevice } from "./native.ts";
import { type Catalogue, membersOf } from "./read.ts";
import { checkLibrary } from "./safe-file.ts";

/**
 * Opens the device, or the failover set, of this name. Libraries are checked before a process of ours runs their code.
 *
 * @param tell - Told what happens to the device's process and sessions.
 * @throws {CatalogueError} `DEVICE_UNKNOWN`, `LIBRARY_UNUSABLE`, `LIBRARY_CHANGED`, `CATALOGUE_UNSAFE`.
 * @throws {DeviceError} What kept the device from being opened. @throws {AwsKmsError}
 */
export async function openNamedDevice(catalogue: Catalogue, name: string, tell?: TellOfDevice): Promise<CryptoDevice> {
  const natives: NativeEntry[] = [];
  for (const member of membersOf(catalogue, name)) {
    if (member.kind === "aws-kms") return (await import("./upstream.ts")).openUpstream(catalogue, member);
    checkLibrary(member.library, member.library_sha256);
    natives.push(member);
  }
  return (await import("./native.ts")).openNative(catalogue, natives, tell);
}
