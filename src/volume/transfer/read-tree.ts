import { FsError } from "../sealfs/fs-error.ts";
import { listFolder, openFile, readSymlink } from "../sealfs/system/backing-folder.ts";
import { fileType, systemCall } from "../sealfs/system/calls.ts";
import { type FileStatus, statusAt, statusOf } from "../sealfs/system/file-status.ts";
import { readEntryOf } from "./entry-attributes.ts";
import { encodePieceStart, encodeRecord, mostPieceBytes } from "./entry-record.ts";
import type { ExportWriter } from "./export-stream.ts";
import { WalkedFolder } from "./open-folder.ts";

/** What an export or import has carried. */
export interface TransferSummary {
  readonly entries: number;
  /** Bytes of files, holes left out. */
  readonly contentBytes: number;
}

const seekData = 3;
const seekHole = 4;

/**
 * Writes a folder with all that is in it, as it is, up to the record `end`. In memory are the names of the folders on the way, and of
 * files with several names.
 *
 * @param leaveOut - Names in the folder itself that are not part of it.
 * @throws {FsError} What a system call failed with, and EIO for a tree that changes meanwhile.
 */
export async function writeTree(
  folder: string,
  leaveOut: ReadonlySet<string>,
  out: ExportWriter,
): Promise<TransferSummary> {
  return new TreeWriter(out).run(folder, leaveOut);
}

class TreeWriter {
  readonly #out: ExportWriter;
  readonly #piece = Buffer.alloc(mostPieceBytes);
  readonly #path: string[] = [];
  /** Where a file with several names was met first, from the top, names joined by "/". */
  readonly #linked = new Map<string, string>();
  #entries = 0;
  #contentBytes = 0;

  constructor(out: ExportWriter) {
    this.#out = out;
  }

  async run(folder: string, leaveOut: ReadonlySet<string>): Promise<TransferSummary> {
    using walked = new WalkedFolder(folder);
    const pending = [await this.#begin(walked, "")];
    const [top = []] = pending;
    pending[0] = top.filter((name) => !leaveOut.has(name));
    for (;;) {
      const names = pending.at(-1);
      if (names === undefined) break;
      const name = names.pop();
      if (name === undefined) {
        await this.#out.write(encodeRecord({ kind: "leave" }));
        pending.pop();
        if (pending.length === 0) break;
        this.#path.pop();
        walked.leave();
        continue;
      }
      const status = statusAt(walked.descriptor, name);
      if ((status.mode & fileType.mask) === fileType.directory) {
        walked.enter(name);
        this.#path.push(name);
        pending.push(await this.#begin(walked, name));
      } else await this.#leaf(walked.descriptor, name, status);
    }
    const summary = { entries: this.#entries, contentBytes: this.#contentBytes };
    await this.#out.write(encodeRecord({ kind: "end", ...summary }));
    return summary;
  }

  /** @returns The names in it, to be taken from the end. */
  async #begin(walked: WalkedFolder, name: string): Promise<string[]> {
    const { descriptor } = walked;
    this.#entries += 1;
    const entry = readEntryOf(name, walked.status, { descriptor });
    await this.#out.write(encodeRecord({ kind: "folder", entry }));
    return listFolder(descriptor)
      .map((each) => each.name)
      .sort()
      .reverse();
  }

  async #leaf(folder: number, name: string, status: FileStatus): Promise<void> {
    this.#entries += 1;
    if (status.links > 1) {
      const inode = `${status.onDevice}:${status.inode}`;
      const first = this.#linked.get(inode);
      if (first !== undefined) return this.#out.write(encodeRecord({ kind: "link", name, to: first.split("/") }));
      this.#linked.set(inode, [...this.#path, name].join("/"));
    }
    const type = status.mode & fileType.mask;
    if (type === fileType.regular) return this.#file(folder, name, status);
    const entry = readEntryOf(name, status, { folder, name });
    if (type === fileType.symlink)
      return this.#out.write(encodeRecord({ kind: "symlink", entry, target: readSymlink(folder, name) }));
    return this.#out.write(encodeRecord({ kind: "special", entry, device: status.device }));
  }

  async #file(folder: number, name: string, listed: FileStatus): Promise<void> {
    const descriptor = openFile(folder, name, "read");
    try {
      const status = statusOf(descriptor);
      if (status.inode !== listed.inode) throw new FsError("EIO", "a file was exchanged while it was read");
      const { size } = status;
      await this.#out.write(encodeRecord({ kind: "file", entry: readEntryOf(name, status, { descriptor }), size }));
      for (let at = nextData(descriptor, 0, size); at < size; at = nextData(descriptor, at, size)) {
        const holeAt = Math.min(systemCall("lseek", descriptor, at, seekHole), size);
        while (at < holeAt) {
          const count = systemCall("pread", descriptor, this.#piece, Math.min(this.#piece.length, holeAt - at), at);
          if (count === 0) throw new FsError("EIO", "a file was cut while it was read");
          await this.#out.write(encodePieceStart(at, count));
          await this.#out.write(this.#piece.subarray(0, count));
          this.#contentBytes += count;
          at += count;
        }
      }
      await this.#out.write(encodePieceStart(0, 0));
    } finally {
      systemCall("close", descriptor);
    }
  }
}

/** Where data goes on; the size when there is none. */
function nextData(descriptor: number, from: number, size: number): number {
  if (from >= size) return size;
  try {
    return systemCall("lseek", descriptor, from, seekData);
  } catch (error) {
    if (error instanceof FsError && error.code === "ENXIO") return size;
    throw error;
  }
}
