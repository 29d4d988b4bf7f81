import {
  createFile,
  linkFile,
  makeFolder,
  makeSpecial,
  makeSymlink,
  openFolder,
} from "../sealfs/system/backing-folder.ts";
import { fileType, systemCall } from "../sealfs/system/calls.ts";
import { SystemFile } from "../sealfs/system/system-file.ts";
import { applyEntry, type ImportedOwners } from "./entry-attributes.ts";
import { type EntryRecord, readPieceStart, readRecord } from "./entry-record.ts";
import { damaged, type ExportReader } from "./export-stream.ts";
import { WalkedFolder } from "./open-folder.ts";
import type { TransferSummary } from "./read-tree.ts";

/** Whatever the exported store's was: who wrote to that one may have put programs and devices there that others must not reach here. */
const topMode = fileType.directory | 0o700;

/**
 * Makes what an export holds inside a folder, which is there and empty. Everything is made by its one name in the folder that is held
 * open, and must be new; no link is followed. Not durable yet on return.
 *
 * @throws {VolumeError} `VOLUME_EXPORT_DAMAGED`.
 * @throws {FsError} What a system call failed with.
 */
export async function readTree(folder: string, from: ExportReader, owners: ImportedOwners): Promise<TransferSummary> {
  return new TreeReader(from, owners).run(folder);
}

class TreeReader {
  readonly #from: ExportReader;
  readonly #owners: ImportedOwners;
  readonly #open: EntryRecord[] = [];
  #entries = 0;
  #contentBytes = 0;

  constructor(from: ExportReader, owners: ImportedOwners) {
    this.#from = from;
    this.#owners = owners;
  }

  async run(folder: string): Promise<TransferSummary> {
    const first = await readRecord(this.#from);
    if (first.kind !== "folder" || first.entry.name !== "") throw damaged("it does not begin with the store");
    using walked = new WalkedFolder(folder);
    this.#open.push(first.entry);
    this.#entries = 1;
    while (this.#open.length > 0) await this.#next(walked, folder);
    const end = await readRecord(this.#from);
    if (end.kind !== "end" || end.entries !== this.#entries || end.contentBytes !== this.#contentBytes)
      throw damaged("it does not hold what its end says");
    await this.#from.end();
    return { entries: this.#entries, contentBytes: this.#contentBytes };
  }

  async #next(walked: WalkedFolder, top: string): Promise<void> {
    const record = await readRecord(this.#from);
    const { descriptor } = walked;
    if (record.kind === "leave") {
      const entry = this.#open.pop();
      if (entry === undefined) return;
      if (this.#open.length === 0) return applyEntry({ descriptor }, { ...entry, mode: topMode }, "mine");
      applyEntry({ descriptor }, entry, this.#owners);
      walked.leave();
      return;
    }
    if (record.kind === "end") throw damaged("it ends inside a folder");
    this.#entries += 1;
    if (record.kind === "link") return linkTo(top, record.to, descriptor, record.name);
    const { entry } = record;
    const { name } = entry;
    if (name === "") throw damaged("it holds an entry without a name");
    switch (record.kind) {
      case "folder":
        makeFolder(descriptor, name, 0o700);
        walked.enter(name);
        this.#open.push(entry);
        return;
      case "file":
        return this.#file(descriptor, entry, record.size);
      case "symlink":
        makeSymlink(descriptor, name, record.target);
        break;
      case "special":
        makeSpecial(descriptor, name, entry.mode, record.device);
        break;
    }
    applyEntry({ folder: descriptor, name }, entry, this.#owners);
  }

  async #file(folder: number, entry: EntryRecord, size: number): Promise<void> {
    const file = new SystemFile(createFile(folder, entry.name, 0o600));
    try {
      file.truncate(size);
      for (let end = 0; ; ) {
        const { offset, length } = await readPieceStart(this.#from);
        if (length === 0) break;
        if (offset < end || offset + length > size) throw damaged("the pieces of a file are out of order");
        end = offset + length;
        file.write(offset, await this.#from.take(length));
        this.#contentBytes += length;
      }
      applyEntry({ descriptor: file.descriptor }, entry, this.#owners);
    } finally {
      file.close();
    }
  }
}

/** Another name of what was made before; the way to it is gone from the top, folder by folder. */
function linkTo(top: string, to: readonly string[], newFolder: number, newName: string): void {
  let folder = openFolder(-100, top);
  try {
    for (const name of to.slice(0, -1)) {
      const below = openFolder(folder, name);
      systemCall("close", folder);
      folder = below;
    }
    linkFile(folder, to.at(-1) ?? "", newFolder, newName);
  } finally {
    systemCall("close", folder);
  }
}
