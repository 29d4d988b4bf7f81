import type { CryptoDevice } from "../device.ts";
import { DeviceError } from "../errors.ts";
import type { PoolSettings } from "../native/pool-settings.ts";
import type { SecretSource } from "../native/secret-source.ts";
import type { NativeEntry } from "./entry.ts";
import { type Catalogue, membersOf } from "./read.ts";
import { checkLibrary } from "./safe-file.ts";
import { openUpstream } from "./upstream.ts";

/**
 * Opens the device, or the failover set, of this name. Libraries are checked before a process of ours runs their code.
 *
 * @throws {CatalogueError} `DEVICE_UNKNOWN`, `LIBRARY_UNUSABLE`, `LIBRARY_CHANGED`, `CATALOGUE_UNSAFE`.
 * @throws {DeviceError} What kept the device from being opened.
 */
export async function openNamedDevice(catalogue: Catalogue, name: string): Promise<CryptoDevice> {
  const members = membersOf(catalogue, name);
  for (const member of members)
    if (member.kind === "aws-kms") return openUpstream(catalogue, member);
    else checkLibrary(member.library, member.library_sha256);
  throw new DeviceError("DEVICE_UNSUPPORTED", `device ${name} has no driver`);
}

/** Where an entry's PIN comes from; undefined for a library that asks for none. */
export function pinOf(catalogue: Pick<Catalogue, "at">, entry: NativeEntry): SecretSource | undefined {
  if (entry.pin_file !== undefined) return { file: catalogue.at(entry.pin_file) };
  return entry.pin_credential === undefined ? undefined : { credential: entry.pin_credential };
}

/** An entry's limits, as the pool of sessions takes them. */
export function poolOf(entry: NativeEntry): Partial<PoolSettings> {
  return {
    minSessions: entry.sessions_min,
    maxSessions: entry.sessions_max,
    acquireTimeoutMs: entry.acquire_timeout_ms,
    callDeadlineMs: entry.call_timeout_ms,
    queueCalls: entry.queue,
  };
}
