import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { lockExisting, verifiedContext } from "../driver.ts";
import { volumeStore } from "../drivers.ts";
import { VolumeError } from "../errors.ts";
import { readVolumeHeader } from "../header.ts";
import { readHeaderFile } from "../header-file.ts";
import { placePaths } from "../place.ts";
import { FsError } from "../sealfs/fs-error.ts";
import { spareName } from "../sealfs/keys/spare-room.ts";
import type { VolumeDescription, VolumeKind, VolumePlace } from "../volume.ts";
import { type ExportSink, ExportWriter } from "./export-stream.ts";
import { type TransferSummary, writeTree } from "./read-tree.ts";

/** Kinds whose store is a folder of ciphertext that a program of ours keeps. */
const exportedKinds: ReadonlySet<VolumeKind> = new Set(["sealfs", "gocryptfs"]);
/** Made again where it is missing. */
const madeAgain: ReadonlySet<string> = new Set(["keys.lock", spareName]);

/** An export or import that has ended well. */
export interface VolumeTransfer extends TransferSummary {
  readonly description: VolumeDescription;
}

/**
 * Writes a locked volume as one sealed stream: its header, and its store as it is, which is ciphertext. Nothing is decrypted, and the
 * volume stays as it was; while it is read it can be neither opened nor changed.
 *
 * @param sink - Given the stream in order; at most 256 KiB and a little at once.
 * @throws {VolumeError} `VOLUME_UNSUPPORTED` for a kind without such a store, `VOLUME_WRONG_KEY`, `VOLUME_ALREADY_OPEN`,
 *   `VOLUME_ABSENT`, `VOLUME_STORE_DAMAGED`, `VOLUME_SYSTEM`; what the sink rejects with passes through.
 */
export async function exportVolume(at: VolumePlace, dataKey: SecretBuffer, sink: ExportSink): Promise<VolumeTransfer> {
  const place = placePaths(at);
  const lock = await lockExisting(place);
  try {
    const header = readHeaderFile(place);
    const { kind } = readVolumeHeader(header);
    refuseUnexported(kind);
    const store = await volumeStore(kind);
    const { description } = verifiedContext(store, place, dataKey);
    await store.verifyPresence(place);
    if ((await store.state(place)) !== "closed")
      throw new VolumeError(
        "VOLUME_ALREADY_OPEN",
        `the volume at ${place.folder} was left open; close it, then export`,
      );
    using writer = await ExportWriter.begin(header, dataKey, sink);
    const top = Buffer.from(place.store).toString("latin1");
    const summary = await writeTree(top, madeAgain, writer);
    await writer.finish();
    return { description, ...summary };
  } catch (error) {
    throw asVolumeError(error, `the store ${place.store} could not be read`);
  } finally {
    lock.abandon();
  }
}

/** @throws {VolumeError} `VOLUME_UNSUPPORTED`. */
export function refuseUnexported(kind: VolumeKind): void {
  if (exportedKinds.has(kind)) return;
  throw new VolumeError(
    "VOLUME_UNSUPPORTED",
    kind === "fscrypt"
      ? "the kernel gives no ciphertext of an fscrypt volume: copy its block device instead"
      : `a ${kind} volume is the program's own files: copy the folder while the program is stopped`,
  );
}

/** A failed system call, with what it was for. */
export function asVolumeError(error: unknown, what: string): unknown {
  return error instanceof FsError ? new VolumeError("VOLUME_SYSTEM", `${what}: ${error.message}`, error) : error;
}
