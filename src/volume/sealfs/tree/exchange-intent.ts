import { FsError } from "../fs-error.ts";
import { openFolder, renameEntry, syncFolder, unlinkFile } from "../system/backing-folder.ts";
import { systemCall } from "../system/calls.ts";
import { readSmall, removeIfThere, writeWhole } from "./sidecars.ts";
import type { ReportTreeEvent } from "./tree-events.ts";
import type { TreeKeys } from "./tree-keys.ts";

/** One of the two renames of an exchange. Folders are paths of backing names from the root. */
export interface IntendedMove {
  readonly from: readonly string[];
  readonly name: string;
  readonly to: readonly string[];
  readonly newName: string;
}

export type ExchangeIntent = readonly [IntendedMove, IntendedMove];

const intentName = ".exchange";
const intentContext = Buffer.from("exchange\0");
/** Two paths of PATH_MAX each way, in JSON, and more. */
const mostIntentBytes = 1_048_576;

/**
 * Makes the two renames of an exchange, which is first written down durably, sealed, in the root's backing folder. The names in it
 * hold the entries' sequences, which never come again: once it is carried out, nothing is left that it could be carried out on.
 *
 * @throws {FsError} Then nothing was exchanged, as far as the file system below lets that be undone.
 */
export function exchangeEntries(keys: TreeKeys, root: number, intent: ExchangeIntent): void {
  const plaintext = Buffer.from(JSON.stringify(intent));
  if (plaintext.length > mostIntentBytes / 2) throw new FsError("ENAMETOOLONG", "the paths of an exchange");
  writeWhole(root, intentName, keys.seal(intentContext, plaintext));
  const [first, second] = intent;
  try {
    move(root, first);
  } catch (error) {
    forgetIntent(root);
    throw error;
  }
  try {
    move(root, second);
  } catch (error) {
    // Where this fails as well the intent stays, and with it what is needed to put the names right.
    move(root, { from: first.to, name: first.newName, to: first.from, newName: first.name });
    forgetIntent(root);
    throw error;
  }
  forgetIntent(root);
}

/**
 * Finishes an exchange that a crash cut short. Before anything else is done with the tree.
 *
 * @param afterCrash - Otherwise there can be none, and what is there was put there: it is taken away.
 * @throws {FsError} EIO when the intent is altered: a folder may then show one of two files only.
 */
export function finishExchange(keys: TreeKeys, root: number, afterCrash: boolean, report: ReportTreeEvent): void {
  removeIfThere(root, `${intentName}~new`);
  let sealed: Buffer;
  try {
    sealed = readSmall(root, intentName, mostIntentBytes);
  } catch (error) {
    if (error instanceof FsError && error.code === "ENOENT") return;
    throw error;
  }
  const plaintext = keys.open(intentContext, sealed);
  if (plaintext === undefined)
    throw new FsError("EIO", `${intentName} is altered: an exchange of two entries cannot be finished`);
  const intent = JSON.parse(plaintext.toString()) as ExchangeIntent; // Authentic: written by exchangeEntries.
  if (afterCrash) for (const one of intent) moveOnce(root, one);
  forgetIntent(root);
  report({ kind: afterCrash ? "exchange-finished" : "exchange-dropped" });
}

/** As {@link finishExchange}, for who changes nothing: what is there is told of. @throws {FsError} */
export function tellOfExchange(root: number, report: ReportTreeEvent): void {
  try {
    readSmall(root, intentName, 1);
  } catch (error) {
    if (error instanceof FsError && error.code === "ENOENT") return;
    throw error;
  }
  report({ kind: "exchange-unfinished" });
}

/** Durably, so that it does not come back after a power loss. */
function forgetIntent(root: number): void {
  unlinkFile(root, intentName);
  syncFolder(root);
}

/** Makes one of the renames, unless it was made before. */
function moveOnce(root: number, intended: IntendedMove): void {
  try {
    move(root, intended);
  } catch (error) {
    if (!(error instanceof FsError) || error.code !== "ENOENT") throw error;
  }
}

function move(root: number, { from, name, to, newName }: IntendedMove): void {
  withFolder(root, from, (old) => withFolder(root, to, (folder) => renameEntry(old, name, folder, newName)));
}

function withFolder(root: number, path: readonly string[], use: (descriptor: number) => void): void {
  let descriptor = root;
  try {
    for (const name of path) {
      const below = openFolder(descriptor, name);
      if (descriptor !== root) systemCall("close", descriptor);
      descriptor = below;
    }
    use(descriptor);
  } finally {
    if (descriptor !== root) systemCall("close", descriptor);
  }
}
