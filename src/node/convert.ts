import { existsSync, lstatSync, mkdirSync, readdirSync, realpathSync, renameSync, rmSync, statfsSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import { syncFolder } from "../files/durable-file.ts";
import { volumeDriver } from "../volume/drivers.ts";
import { describeUsers, usersOfFilesUnder } from "../volume/users-of-files.ts";
import type { OpenVolume } from "../volume/volume.ts";
import { type Conversion, ConversionJournal, type Direction } from "./conversion-journal.ts";
import { type DataMover, treeMover } from "./data-mover.ts";
import { NodeError } from "./errors.ts";
import type { Manifest } from "./manifest.ts";
import type { LoadedManifest } from "./manifest-reader.ts";
import { sealFile } from "./seal.ts";
import { readTree, wipeTree } from "./tree.ts";
import { unsealInPlace } from "./unseal.ts";
import { nodeAnchor } from "./volume-anchor.ts";

export interface ConvertOptions {
  /** Key files to seal first; they lie in the data folder or beside it. */
  readonly seal?: readonly string[];
  /** Level volumes: encrypt key names too. @defaultValue `false` */
  readonly encryptKeyNames?: boolean;
  readonly tell?: (message: string) => void;
  /** Called after each durable step; a test ends the process there. */
  readonly onStep?: (step: ConvertStep) => void;
}

export const convertSteps = ["begun", "copied", "set-aside", "verified", "removed"] as const;
export type ConvertStep = (typeof convertSteps)[number];

export interface ConvertOutcome {
  readonly direction: Direction;
  readonly folder: string;
  readonly volumeFolder: string;
  /** SHA-256 over everything that was compared. */
  readonly digest: string;
}

type VolumeTable = NonNullable<Manifest["volume"]>;

/** What the plain folder is called once its copy is complete, so that no node starts in it while it is compared. */
const asideSuffix = ".strongroom-converting";
const spareBytes = 64 * 1024 * 1024;

/**
 * Moves a stopped node's data folder into its volume. The original is wiped and removed only after every checksum was
 * compared; killed at any point, the same call goes on.
 *
 * @throws {NodeError} `NODE_RUNNING`, `DISK_SPACE`, `CONVERSION_DAMAGED`, `CONVERSION_STATE`, `TARGET_EXISTS`,
 *   `INPUT_INVALID`; errors of the volume pass through.
 */
export async function convertToVolume(
  loaded: LoadedManifest,
  dataKey: SecretBuffer,
  where: string,
  { seal = [], encryptKeyNames = false, tell = () => {}, onStep = () => {} }: ConvertOptions = {},
): Promise<ConvertOutcome> {
  const table = convertibleVolume(loaded);
  const folder = resolve(where);
  const aside = folder + asideSuffix;
  const volumeFolder = loaded.at(table.folder);
  const journal = new ConversionJournal(loaded.folder);
  let state = resumed(journal, "to-volume", folder);
  if (state?.phase !== "removing") {
    const source = () => (existsSync(aside) ? aside : folder);
    refuseBadFolder(source(), volumeFolder, loaded.folder);
    refuseRunning(source());
    let current = loaded;
    for (const file of seal) current = sealFile(current, dataKey, file).loaded;
    const driver = await volumeDriver(table.kind);
    if (state === undefined) {
      const { state: there } = await driver.status({ folder: volumeFolder });
      if (there !== "absent" && there !== "incomplete") await refuseFilled(loaded, dataKey, table);
      if (table.kind === "level") (await import("./level-mover.ts")).checkDatabases(folder);
      refuseWithoutSpace(folder, volumeFolder, table.kind === "level" ? 2 : 1);
      state = { direction: "to-volume", folder, phase: "copying" };
      journal.write(state);
    }
    onStep("begun");
    const { state: there } = await driver.status({ folder: volumeFolder });
    if (there === "absent" || there === "incomplete")
      await driver.create({ folder: volumeFolder }, dataKey, {
        suite: loaded.manifest.dataKey.suite,
        parameters: table.parameters,
      });
    using anchor = nodeAnchor(loaded);
    await using volume = closing(await driver.open({ folder: volumeFolder }, dataKey, { anchor }));
    const mover = await moverFor(volume.opened, "seal", encryptKeyNames);
    tell(`copying ${source()} into the ${table.kind} volume ${volumeFolder}`);
    if (source() === folder) {
      await mover.copy(folder, volume.opened.dataPath, false);
      onStep("copied");
      renameSync(folder, aside);
      syncFolder(dirname(folder));
    }
    onStep("set-aside");
    const digest = await prove(mover, aside, volume.opened.dataPath, () => renameSync(aside, folder));
    state = { ...state, phase: "removing", digest };
    journal.write(state);
    onStep("verified");
  }
  if (existsSync(aside)) wipeTree(aside);
  syncFolder(dirname(folder));
  onStep("removed");
  journal.end();
  return { direction: "to-volume", folder, volumeFolder, digest: state.digest ?? "" };
}

/**
 * The way back: the data out of the volume into a plain folder, and every sealed file to where it was. The volume is
 * removed only after every checksum was compared; killed at any point, the same call goes on.
 *
 * @throws {NodeError} As {@link convertToVolume}.
 */
export async function convertToPlain(
  loaded: LoadedManifest,
  dataKey: SecretBuffer,
  where: string,
  { encryptKeyNames = false, tell = () => {}, onStep = () => {} }: ConvertOptions = {},
): Promise<ConvertOutcome> {
  const table = convertibleVolume(loaded);
  const folder = resolve(where);
  const volumeFolder = loaded.at(table.folder);
  const journal = new ConversionJournal(loaded.folder);
  let state = resumed(journal, "to-plain", folder);
  if (state?.phase !== "removing") {
    if (state === undefined && existsSync(folder) && readdirSync(folder).length > 0)
      throw new NodeError("TARGET_EXISTS", `${folder} is not empty`, {
        hint: "name a folder that is empty or missing",
      });
    using anchor = nodeAnchor(loaded);
    await using volume = closing(
      await (await volumeDriver(table.kind)).open({ folder: volumeFolder }, dataKey, { anchor }),
    );
    const { dataPath } = volume.opened;
    if (state === undefined) {
      refuseRunning(dataPath);
      refuseWithoutSpace(dataPath, dirname(folder), 1);
      state = { direction: "to-plain", folder, phase: "copying" };
      journal.write(state);
    }
    onStep("begun");
    const mover = await moverFor(volume.opened, "open", encryptKeyNames);
    tell(`copying the ${table.kind} volume ${volumeFolder} into ${folder}`);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    await mover.copy(dataPath, folder, false);
    onStep("copied");
    const digest = await prove(mover, dataPath, folder, () => {});
    state = { ...state, phase: "removing", digest };
    journal.write(state);
    onStep("verified");
  }
  let current = loaded;
  for (const entry of loaded.manifest.sealedFiles) {
    mkdirSync(dirname(loaded.at(entry.path)), { recursive: true, mode: 0o700 });
    current = unsealInPlace(current, dataKey, entry);
  }
  onStep("set-aside");
  rmSync(volumeFolder, { recursive: true, force: true });
  onStep("removed");
  journal.end();
  return { direction: "to-plain", folder, volumeFolder, digest: state.digest ?? "" };
}

/** Compares; a copy that differs is made afresh once. `giveUp` puts back what was set aside. */
async function prove(mover: DataMover, from: string, to: string, giveUp: () => void): Promise<string> {
  refuseRunning(from);
  const first = await mover.verify(from, to);
  if (first !== undefined) return first;
  await mover.copy(from, to, true);
  const second = await mover.verify(from, to);
  if (second !== undefined) return second;
  giveUp();
  throw new NodeError("CONVERSION_DAMAGED", `the copy of ${from} in ${to} differs from it; the original is untouched`, {
    hint: "check the disk, make sure that nothing writes there, and run the command again",
  });
}

async function moverFor(volume: OpenVolume, direction: "seal" | "open", encryptKeyNames: boolean): Promise<DataMover> {
  if (volume.description.kind !== "level") return treeMover;
  const key = volume.programKeys[0]?.value;
  if (key === undefined) throw new NodeError("CONVERSION_STATE", "the level volume has no key for its program");
  const { levelMover } = await import("./level-mover.ts");
  return levelMover({ key, suite: volume.description.suite, encryptKeyNames, direction });
}

function convertibleVolume(loaded: LoadedManifest): VolumeTable {
  const { volume } = loaded.manifest;
  if (volume === undefined)
    throw new NodeError("INPUT_INVALID", `${loaded.file} has no [volume] to convert into`, {
      hint: 'add one, for example: [volume] kind = "gocryptfs"',
    });
  if (volume.kind === "native")
    throw new NodeError("INPUT_INVALID", "a program with encryption of its own converts its data itself", {
      hint: "only key files can be sealed for it: strongroom node seal",
    });
  return volume;
}

function resumed(journal: ConversionJournal, direction: Direction, folder: string): Conversion | undefined {
  const found = journal.read();
  if (found === undefined || (found.direction === direction && found.folder === folder)) return found;
  throw new NodeError("CONVERSION_STATE", `a conversion ${found.direction} of ${found.folder} is unfinished`, {
    hint: "finish it with the command that began it",
  });
}

function refuseBadFolder(folder: string, volumeFolder: string, nodeFolder: string): void {
  const found = lstatSync(folder, { throwIfNoEntry: false });
  if (found?.isDirectory() !== true) throw new NodeError("INPUT_INVALID", `${folder} is not a folder`);
  const real = `${realpathSync(folder)}/`;
  if (
    `${volumeFolder}/`.startsWith(real) ||
    `${realpathSync(nodeFolder)}/`.startsWith(real) ||
    real.startsWith(`${volumeFolder}/`)
  )
    throw new NodeError("INPUT_INVALID", `${folder} and the node's own folder or volume lie in one another`);
}

function refuseRunning(folder: string): void {
  const users = usersOfFilesUnder(realpathSync(folder)).filter(({ pid }) => pid !== process.pid);
  if (users.length > 0)
    throw new NodeError("NODE_RUNNING", `${folder} is in use by ${describeUsers(users)}`, {
      hint: "stop the node first",
    });
}

async function refuseFilled(loaded: LoadedManifest, dataKey: SecretBuffer, table: VolumeTable): Promise<void> {
  using anchor = nodeAnchor(loaded);
  await using volume = closing(
    await (await volumeDriver(table.kind)).open({ folder: loaded.at(table.folder) }, dataKey, { anchor }),
  );
  if (readdirSync(volume.opened.dataPath).length > 0)
    throw new NodeError("TARGET_EXISTS", `the volume ${loaded.at(table.folder)} holds data already`);
}

function refuseWithoutSpace(from: string, to: string, factor: number): void {
  let existing = to;
  while (!existsSync(existing)) existing = dirname(existing);
  const { bavail, bsize } = statfsSync(existing);
  const needed = readTree(from).reduce((sum, { stats }) => sum + stats.size + 4096, spareBytes) * factor;
  if (bavail * bsize < needed)
    throw new NodeError(
      "DISK_SPACE",
      `a second copy of ${from} needs ${Math.ceil(needed / 1048576)} MiB, ${Math.floor((bavail * bsize) / 1048576)} MiB are free`,
    );
}

function closing(opened: OpenVolume): { readonly opened: OpenVolume; [Symbol.asyncDispose](): Promise<void> } {
  return { opened, [Symbol.asyncDispose]: () => opened.close() };
}
