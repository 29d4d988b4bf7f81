import { randomBytes } from "node:crypto";
import { existsSync, lstatSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Enrolment } from "../client/enroll.ts";
import { isInMemory, memoryFolderCandidates } from "../volume/memory-folder.ts";
import { NodeError } from "./errors.ts";
import { replaceFile } from "./file-steps.ts";
import { identityFiles } from "./key-manager.ts";
import type { IdentityKind } from "./manifest.ts";

/** What an identity kind means when somebody has a copy of the node's disk. Shown by `node status` word for word. */
export const identityMeanings: Readonly<Record<IdentityKind, string>> = {
  file:
    "the client key is on this disk: a stolen disk plus reach into the institution's network opens this node until it " +
    "is revoked",
  tmpfs:
    "the client key is in memory only: a stolen disk does not open this node; after each boot the node must be enrolled " +
    "again with a fresh token",
};

/** Where a new node's identity goes unless the operator says otherwise. @throws {NodeError} `TMPFS_MISSING`. */
export function defaultIdentityFolder(kind: IdentityKind, name: string): string {
  if (kind === "file") return "identity";
  // /tmp is left out: what lies there may be cleaned away under a running node.
  const memory = memoryFolderCandidates().find((folder) => folder !== "/tmp" && isInMemory(folder));
  if (memory === undefined)
    throw new NodeError("TMPFS_MISSING", "neither /run nor /dev/shm is a tmpfs, so no identity can be kept in memory", {
      hint: "mount one, as root: mount -t tmpfs -o mode=1777 tmpfs /dev/shm",
    });
  // Two nodes of one name, of two key managers, may live on one host.
  return join(memory, `strongroom-identity-${name}-${randomBytes(4).toString("hex")}`);
}

/**
 * Writes what enrolment gave into an identity folder (0700): client key and certificate (0600), the key manager's
 * certificate. A `tmpfs` identity is refused a place that is on a disk.
 *
 * @throws {NodeError} `TMPFS_MISSING`, `FILE_UNSAFE`.
 */
export function writeIdentity(kind: IdentityKind, folder: string, enrolment: Enrolment): void {
  refuseDisk(kind, folder);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  refuseDisk(kind, folder);
  refuseStrangersFolder(folder);
  replaceFile(join(folder, identityFiles.ca), Buffer.from(enrolment.caPem));
  replaceFile(join(folder, identityFiles.certificate), Buffer.from(enrolment.certificatePem));
  enrolment.privateKeyPem.expose((pem) => replaceFile(join(folder, identityFiles.privateKey), pem));
}

/** On a tmpfs that everybody may write to, somebody else may have made the folder before us. */
export function refuseStrangersFolder(folder: string): void {
  const found = lstatSync(folder, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isDirectory() || found.uid !== process.getuid?.() || (found.mode & 0o077) !== 0)
    throw new NodeError("FILE_UNSAFE", `${folder} is not a folder that only you can enter`, {
      hint: `remove it, or: chmod 700 ${folder}`,
    });
}

/** Before the token is used up: a folder that is missing is judged by the nearest one that is there. */
export function refuseDisk(kind: IdentityKind, folder: string): void {
  if (kind !== "tmpfs") return;
  let existing = folder;
  while (existing !== "/" && !existsSync(existing)) existing = join(existing, "..");
  if (!isInMemory(existing))
    throw new NodeError("TMPFS_MISSING", `${folder} is not on a tmpfs, but the manifest keeps the identity in memory`, {
      hint: "set identity.folder to a folder under /run or /dev/shm where that is a tmpfs",
    });
}
