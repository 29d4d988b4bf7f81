import { existsSync } from "node:fs";
import { VolumeError } from "../volume/errors.ts";
import { OwnerLock } from "../volume/owner-lock.ts";
import { NodeError } from "./errors.ts";
import type { LoadedManifest } from "./manifest-reader.ts";

/**
 * Holds a node for one launch or its destruction: a lock of the kernel's on the wrapped data key (of a node without one, on the
 * manifest), which changes no byte and ends with this process. So one key never runs in two programs of one folder.
 *
 * @returns Undefined where this user may not write the file: then nothing can be locked.
 * @throws {NodeError} `NODE_RUNNING`.
 */
export async function lockNode({ manifest, file, at }: LoadedManifest): Promise<Disposable | undefined> {
  const wrapped = at(manifest.dataKey.wrapped);
  try {
    const lock = await OwnerLock.acquire(existsSync(wrapped) ? wrapped : file, false);
    return { [Symbol.dispose]: () => lock.abandon() };
  } catch (cause) {
    if (!(cause instanceof VolumeError)) throw cause;
    if (cause.code !== "VOLUME_ALREADY_OPEN") return undefined;
    throw new NodeError("NODE_RUNNING", `${manifest.node.name} is launched already, or is being destroyed`, {
      cause,
      hint: "stop it first",
    });
  }
}
