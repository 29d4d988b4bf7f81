import { FsError } from "../fs-error.ts";
import { openFolder, renameEntry, unlinkFile } from "../system/backing-folder.ts";
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

/** Says durably, sealed, in the root's backing folder, that two entries are about to change places. @throws {FsError} */
export function writeIntent(keys: TreeKeys, root: number, intent: ExchangeIntent): void {
  const plaintext = Buffer.from(JSON.stringify(intent));
  if (plaintext.length > mostIntentBytes / 2) throw new FsError("ENAMETOOLONG", "the paths of an exchange");
  writeWhole(root, intentName, keys.seal(intentContext, plaintext));
}

/** After both renames. @throws {FsError} */
export function forgetIntent(root: number): void {
  unlinkFile(root, intentName);
}

/** Makes one of the renames, unless it was made before. @throws {FsError} */
export function moveOnce(root: number, move: IntendedMove): void {
  withFolder(root, move.from, (from) =>
    withFolder(root, move.to, (to) => {
      try {
        renameEntry(from, move.name, to, move.newName);
      } catch (error) {
        if (!(error instanceof FsError) || error.code !== "ENOENT") throw error;
      }
    }),
  );
}

/**
 * Finishes an exchange that a crash cut short. Before anything else is done with the tree.
 *
 * @throws {FsError} EIO when the intent is altered: a folder may then show one of two files only.
 */
export function finishExchange(keys: TreeKeys, root: number, report: ReportTreeEvent): void {
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
  const intent = JSON.parse(plaintext.toString()) as ExchangeIntent; // Authentic: written by writeIntent.
  for (const move of intent) moveOnce(root, move);
  forgetIntent(root);
  report({ kind: "exchange-finished" });
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
