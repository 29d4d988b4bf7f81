import { lstatSync, readdirSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { NodeError } from "./errors.ts";
import { manifestFileName } from "./manifest.ts";
import { type LoadedManifest, loadManifest } from "./manifest-reader.ts";

/**
 * Refuses to start a node for a user that it does not belong to: keys are handed over to processes of one user, who can read
 * them from the memory of any process of that user.
 *
 * @throws {NodeError} `WRONG_USER`.
 */
export function refuseOtherUser({ manifest }: LoadedManifest, uid: number | undefined = process.getuid?.()): void {
  const owner = manifest.node.uid;
  if (owner === undefined || uid === undefined || owner === uid) return;
  throw new NodeError("WRONG_USER", `${manifest.node.name} belongs to user ${owner}, and this is user ${uid}`, {
    hint: `start it as that user (setpriv --reuid ${owner}, or User= in its systemd unit)`,
  });
}

/** Other nodes in the folders beside this one's that run as the same user; what cannot be read is left out. */
export function nodesOfSameUser(folder: string, uid: number): string[] {
  const own = resolve(folder);
  return namesIn(dirname(own))
    .map((name) => join(dirname(own), name))
    .filter((path) => path !== own && uidOf(path) === uid);
}

/** The user that a folder's node belongs to, by its manifest, else by who owns that; undefined when there is no node. */
function uidOf(folder: string): number | undefined {
  const file = join(folder, manifestFileName);
  try {
    if (!lstatSync(folder).isDirectory() || !statSync(file).isFile()) return undefined;
    return loadManifest(file).manifest.node.uid ?? statSync(file).uid;
  } catch {
    return undefined;
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
