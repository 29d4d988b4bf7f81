import { readFileSync } from "node:fs";
import { VolumeError } from "./errors.ts";
import { detachFuse, unmountFuse, unmountOrCutOff } from "./fuse-mount.ts";
import { awaitEnd, awaitMount, endingOf, type FuseServer } from "./fuse-server.ts";
import { lastingOutput } from "./lasting-output.ts";
import { parseCoreLimit } from "./launch-safety.ts";
import { mountAt } from "./mounts.ts";
import type { OwnerLock } from "./owner-lock.ts";
import type { PlacePaths } from "./place.ts";
import type { OpenStore } from "./store.ts";
import { feedAndWipe, keepTail, requireTool, runTool, startTool } from "./tool.ts";
import type { OpenOptions } from "./volume.ts";

const readyLine = "Filesystem mounted and ready.";
const endMs = 5000;

interface Serving {
  readonly place: PlacePaths;
  readonly flags: readonly string[];
  /** The line for its standard input; wiped once given. */
  readonly masterKey: Buffer;
  readonly lock: OwnerLock;
  readonly options: OpenOptions;
}

/** Starts gocryptfs on a store and resolves once the volume is mounted. The server shares the volume's lock. */
export async function serveGocryptfs(serving: Serving): Promise<OpenStore> {
  return serving.options.outliveOwner === true ? leaveServer(serving) : superviseServer(serving);
}

/**
 * A foreground child that the kernel ends when we end (PR_SET_PDEATHSIG), however we end: it then unmounts the volume,
 * lazily if need be, so that a killed launcher leaves no readable volume behind.
 */
async function superviseServer({ place, flags, masterKey, lock, options }: Serving): Promise<OpenStore> {
  const command = [...noCoreDumps(), ...commandOf(place, ["-fg", ...flags], options)];
  const setpriv = requireTool("setpriv", "util-linux");
  const output = await lastingOutput();
  const stdio = ["pipe" as const, output.writer, output.writer, lock.fd];
  const child = startTool(setpriv, ["--pdeathsig", "TERM", "--", ...command], stdio);
  output.handedOver();
  const ended = endingOf(child);
  let printed = () => "";
  const ready = new Promise<"ready">((resolve) => {
    printed = keepTail([output.reader], (text) => {
      if (text.includes(readyLine)) resolve("ready");
    });
  });
  const server: FuseServer = { name: "gocryptfs", child, ready, ended, printed: () => printed() };
  feedAndWipe(child, masterKey);
  await awaitMount(server, place);
  let closing = false;
  const lost = new Promise<Error>((resolve) => {
    void ended.then(() => {
      if (!closing)
        resolve(
          new VolumeError("VOLUME_LOST", `gocryptfs stopped serving ${place.root}: ${printed() || "no message"}`),
        );
    });
  });
  return {
    programKeys: [],
    lost,
    async close(closeOptions) {
      closing = true;
      try {
        await unmountOrCutOff(place.root, closeOptions, () => void child.kill("SIGTERM"));
      } catch (error) {
        closing = false;
        throw error;
      }
      await awaitEnd(server, endMs);
      await detachFuse(place.root);
    },
  };
}

/** gocryptfs in the background by its own means: it ends when the volume is unmounted. */
async function leaveServer({ place, flags, masterKey, lock, options }: Serving): Promise<OpenStore> {
  const [program = "", ...args] = [...noCoreDumps(), ...commandOf(place, [...flags], options)];
  const { exitCode, output } = await runTool(program, args, { input: masterKey, extraFd: lock.fd });
  if (exitCode !== 0 || mountAt(place.root) === undefined)
    throw new VolumeError("VOLUME_TOOL_FAILED", `gocryptfs did not mount ${place.root} (exit ${exitCode}): ${output}`);
  return {
    programKeys: [],
    lost: new Promise(() => {}),
    close: ({ patienceMs }) => unmountFuse(place.root, patienceMs),
  };
}

function commandOf(place: PlacePaths, flags: readonly string[], { owner }: OpenOptions): string[] {
  const forOthers = owner !== undefined && owner.uid !== process.getuid?.() ? ["-allow_other"] : [];
  const gocryptfs = requireTool("gocryptfs", "gocryptfs");
  return [gocryptfs, "-masterkey=stdin", ...flags, ...forOthers, "--", place.store, place.root];
}

/** The server's memory holds the key: no core file, and (limit 1, core(5)) no core piped to a program either. */
function noCoreDumps(): string[] {
  const limit = parseCoreLimit(readFileSync("/proc/self/limits", "utf8"));
  if (limit !== undefined && limit.hardBytes <= 1n) return [];
  return [requireTool("prlimit", "util-linux"), "--core=1"];
}
