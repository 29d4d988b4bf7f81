import { stat } from "node:fs/promises";
import { VolumeError } from "./errors.ts";
import { mountAt } from "./mounts.ts";
import type { StoreState } from "./store.ts";
import { requireTool, runTool } from "./tool.ts";
import { describeUsers, usersOfFilesUnder } from "./users-of-files.ts";
import type { CloseOptions } from "./volume.ts";

const retryMs = 50;
const answerMs = 3000;

/** What is mounted at a volume's root. A server that does not answer within 3 s counts as serving. */
export async function fuseMountState(root: string, type: string): Promise<StoreState> {
  const mount = mountAt(root);
  if (mount === undefined) return "closed";
  if (mount.type !== type)
    throw new VolumeError(
      "VOLUME_PLACE_NOT_EMPTY",
      `another file system (${mount.type}) is mounted at ${root}; unmount it and try again`,
    );
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<"late">((resolve) => {
    timer = setTimeout(resolve, answerMs, "late");
  });
  try {
    await Promise.race([stat(root), late]);
    return "serving";
  } catch {
    return "dead";
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Unmounts `root`, trying again while it is in use.
 *
 * @throws {VolumeError} `VOLUME_BUSY` naming the processes that use it, when it is still in use after `patienceMs`.
 */
export async function unmountFuse(root: string, patienceMs: number): Promise<void> {
  const begunMs = Date.now();
  while (mountAt(root) !== undefined) {
    const { exitCode, output } = await runTool(requireTool("fusermount3", "fuse3"), ["-u", "--", root]);
    if (exitCode === 0 || mountAt(root) === undefined) continue;
    if (!/busy/i.test(output))
      throw new VolumeError("VOLUME_TOOL_FAILED", `${root} could not be unmounted: ${output || `exit ${exitCode}`}`);
    if (Date.now() - begunMs >= patienceMs)
      throw new VolumeError(
        "VOLUME_BUSY",
        `${root} is in use by ${describeUsers(usersOfFilesUnder(root))}; stop it and close the volume again`,
      );
    await new Promise((resolve) => setTimeout(resolve, retryMs));
  }
}

/**
 * Unmounts `root`; from programs that still use it, it is taken where they are to be cut off.
 *
 * @param cutOff - Ends its server.
 * @throws {VolumeError} As {@link unmountFuse}, when they are not to be.
 */
export async function unmountOrCutOff(
  root: string,
  { patienceMs, whenBusy }: Required<CloseOptions>,
  cutOff: () => void | Promise<void>,
): Promise<void> {
  try {
    await unmountFuse(root, patienceMs);
  } catch (error) {
    if (whenBusy === "refuse" || !(error instanceof VolumeError) || error.code !== "VOLUME_BUSY") throw error;
    await cutOff();
  }
}

/** Takes a mount out of the tree at once, whoever uses it. Its server must be ended as well. */
export async function detachFuse(root: string): Promise<void> {
  while (mountAt(root) !== undefined) {
    const { exitCode, output } = await runTool(requireTool("fusermount3", "fuse3"), ["-u", "-z", "--", root]);
    if (exitCode !== 0 && mountAt(root) !== undefined)
      throw new VolumeError("VOLUME_TOOL_FAILED", `${root} could not be detached: ${output || `exit ${exitCode}`}`);
  }
}
