import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import type { SuiteName } from "../../../../src/crypto/suite.ts";
import { volumeDriver } from "../../../../src/volume/drivers.ts";
import { exportVolume } from "../../../../src/volume/transfer/export-volume.ts";

export const isRoot: boolean = process.getuid?.() === 0;

/** A folder for one test, with a locked sealfs volume whose store holds one of each thing that a store can. */
export class FilledStore implements Disposable {
  readonly work: string = mkdtempSync(join(tmpdir(), "strongroom-transfer-"));
  readonly folder: string = join(this.work, "volume");
  readonly dataKey: SecretBuffer = SecretBuffer.random(32);

  static async make(suite: SuiteName = "intl"): Promise<FilledStore> {
    const made = new FilledStore();
    await (await volumeDriver("sealfs")).create({ folder: made.folder }, made.dataKey, { suite });
    made.#fill(join(made.folder, "store/tree"));
    return made;
  }

  /** The whole export. */
  async export(): Promise<Buffer> {
    const pieces: Buffer[] = [];
    await exportVolume({ folder: this.folder }, this.dataKey, async (bytes) => void pieces.push(Buffer.from(bytes)));
    return Buffer.concat(pieces);
  }

  /** A place for a volume that is not there yet. */
  target(name = "restored"): string {
    return join(this.work, name);
  }

  [Symbol.dispose](): void {
    this.dataKey[Symbol.dispose]();
    rmSync(this.work, { recursive: true, force: true });
  }

  #fill(tree: string): void {
    mkdirSync(join(tree, "folder/deeper"), { recursive: true });
    writeFileSync(join(tree, "folder/one"), "one");
    linkSync(join(tree, "folder/one"), join(tree, "folder/deeper/two"));
    writeFileSync(join(tree, "large"), Buffer.alloc(700_000, 7));
    writeFileSync(Buffer.concat([Buffer.from(`${tree}/`), Buffer.of(0xff, 0x41)]), "a name that is no text");
    symlinkSync("/nowhere/../at-all", join(tree, "link"));
    const sparse = openSync(join(tree, "sparse"), "w");
    writeSync(sparse, Buffer.alloc(4096, 1), 0, 4096, 8 * 1024 * 1024);
    writeSync(sparse, Buffer.alloc(4096, 2), 0, 4096, 16 * 1024 * 1024);
    closeSync(sparse);
    if (existsSync("/usr/bin/mkfifo")) spawnSync("/usr/bin/mkfifo", [join(tree, "fifo")]);
    if (isRoot) chownSync(join(tree, "folder/one"), 1234, 4321);
    chmodSync(join(tree, "folder/one"), 0o4751);
    chmodSync(join(tree, "folder/deeper"), 0o1770);
    utimesSync(join(tree, "large"), 1_000_000_000.25, 1_100_000_000.5);
    utimesSync(join(tree, "folder"), 1_000_000_000, 1_200_000_000);
  }
}

/** What an export keeps of a folder, by path: everything but inodes and times of change. */
export function treeOf(top: string): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  const inodes = new Map<bigint, string>();
  const visit = (path: Buffer, shown: string): void => {
    const { mode, uid, gid, mtimeNs, size, ino, nlink } = lstatSync(path, { bigint: true });
    const type = mode & 0o170000n;
    const isFolder = type === 0o040000n;
    const facts: Record<string, unknown> = { mode, uid, gid, mtimeNs };
    if (!isFolder) Object.assign(facts, { size, links: nlink });
    if (!isFolder && nlink > 1n) facts.sameAs = inodes.get(ino) ?? shown;
    inodes.set(ino, inodes.get(ino) ?? shown);
    if (type === 0o100000n) facts.content = readFileSync(path).toString("base64");
    if (type === 0o120000n) facts.target = readlinkSync(path);
    found[shown] = facts;
    if (!isFolder) return;
    for (const name of readdirSync(path, { encoding: "buffer" }).sort(Buffer.compare))
      visit(Buffer.concat([path, Buffer.from("/"), name]), `${shown}/${name.toString("latin1")}`);
  };
  visit(Buffer.from(top), "");
  return found;
}
