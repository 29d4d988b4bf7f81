import type { ChildProcess } from "node:child_process";
import { VolumeError } from "./errors.ts";
import { detachFuse } from "./fuse-mount.ts";
import { mountAt } from "./mounts.ts";
import type { PlacePaths } from "./place.ts";

const readyMs = 60_000;

/** The process that serves a volume, from the side of the one that started it. */
export interface FuseServer {
  /** For messages. */
  readonly name: string;
  readonly child: ChildProcess;
  /** Settles when it has said that its mount answers. */
  readonly ready: Promise<"ready">;
  /** Settles when it has ended, or could not be started. */
  readonly ended: Promise<void>;
  /** What it has printed last. */
  readonly printed: () => string;
}

/**
 * Waits until the volume is mounted. A server that ends before, or is not ready within 60 s, is killed and leaves no mount.
 *
 * @throws {VolumeError} VOLUME_TOOL_FAILED with what it printed.
 */
export async function awaitMount({ name, child, ready, ended, printed }: FuseServer, place: PlacePaths): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<"late">((resolve) => {
    timer = setTimeout(resolve, readyMs, "late");
  });
  const outcome = await Promise.race([ready, late, ended.then(() => "ended" as const)]);
  clearTimeout(timer);
  if (outcome === "ready" && mountAt(place.root) !== undefined) return;
  child.kill("SIGKILL");
  await ended;
  await new Promise((resolve) => setImmediate(resolve));
  await detachFuse(place.root);
  const why = outcome === "late" ? `it was not ready within ${readyMs / 1000} s` : printed() || "it printed no message";
  throw new VolumeError("VOLUME_TOOL_FAILED", `${name} did not mount ${place.root}: ${why}`);
}

/** Settles when a child has ended, or could not be started. */
export function endingOf(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", () => resolve());
  });
}

/** Waits for the server to end, which destroys its keys; kills it if it lingers. */
export async function awaitEnd({ child, ended }: FuseServer, longestMs: number): Promise<void> {
  const timer = setTimeout(() => child.kill("SIGKILL"), longestMs);
  await ended;
  clearTimeout(timer);
}
