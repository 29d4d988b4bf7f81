import { spawn } from "node:child_process";
import { Duplex, type Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { VolumeError } from "./errors.ts";
import { detachFuse, unmountFuse, unmountOrCutOff } from "./fuse-mount.ts";
import { awaitEnd, awaitMount, endingOf, type FuseServer } from "./fuse-server.ts";
import type { KeyHolder } from "./key-holder.ts";
import { lastingOutput } from "./lasting-output.ts";
import type { OwnerLock } from "./owner-lock.ts";
import type { PlacePaths } from "./place.ts";
import { answerForKeyHolder } from "./sealfs-key-holder.ts";
import type { OpenStore } from "./store.ts";
import { feedAndWipe, keepTail } from "./tool.ts";

const program: string = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "./sealfs/server/main.ts" : "./sealfs/server/main.js", import.meta.url),
);
/** What the server prints once its mount answers. */
export const readyLine = "strongroom sealfs: mounted";
/** Where the server asks for envelopes to be opened. */
const holderDescriptor = 5;
/** The last writes are synced meanwhile. */
const endMs = 60_000;
const longestLine = 1000;

interface Serving {
  readonly place: PlacePaths;
  /** For its standard input; wiped once given. */
  readonly handover: Buffer;
  readonly lock: OwnerLock;
  readonly outliveOwner: boolean;
  readonly onDamage?: (what: string) => void;
  /** Opens envelopes for the server. */
  readonly unwrap?: KeyHolder["unwrap"];
}

/**
 * Starts the server of a sealfs volume and resolves once the volume is mounted. The server shares the volume's lock. Unless it is to
 * outlive us it holds the end of a pipe of ours, and unmounts when that closes, however we end.
 */
export async function serveSealfs({
  place,
  handover,
  lock,
  outliveOwner,
  onDamage,
  unwrap,
}: Serving): Promise<OpenStore> {
  const output = await lastingOutput("refuse");
  // Where our own compiled code is kept: a start takes a third of the processor time with it.
  const { NODE_COMPILE_CACHE: compiledCode } = process.env;
  // The store is named for whoever looks at the list of processes.
  const child = spawn(process.execPath, [program, place.store], {
    // What it must not inherit is more than what it needs.
    env: {
      PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
      LC_ALL: "C",
      ...(compiledCode === undefined ? {} : { NODE_COMPILE_CACHE: compiledCode }),
    },
    stdio: [
      ...(["pipe", output.writer, output.writer, lock.fd] as const),
      ...([outliveOwner ? "ignore" : "pipe", unwrap === undefined ? "ignore" : "pipe"] as const),
    ],
    detached: true,
  });
  output.handedOver();
  const channel = (child.stdio as readonly unknown[])[holderDescriptor];
  if (unwrap !== undefined && channel instanceof Duplex) answerForKeyHolder(channel, unwrap);
  const ended = endingOf(child);
  let printed = () => "";
  const ready = new Promise<"ready">((resolve) => {
    printed = keepTail([output.reader], (text) => {
      if (text.includes(readyLine)) resolve("ready");
    });
  });
  if (onDamage !== undefined) followLines(output.reader, (line) => line !== readyLine && onDamage(line));
  feedAndWipe(child, handover);
  const server: FuseServer = { name: "the server of the volume", child, ready, ended, printed: () => printed() };
  await awaitMount(server, place);
  if (outliveOwner) {
    child.unref();
    output.reader.destroy();
    return {
      programKeys: [],
      lost: new Promise(() => {}),
      close: ({ patienceMs }) => unmountFuse(place.root, patienceMs),
    };
  }
  let closing = false;
  const lost = ended.then(() =>
    closing
      ? new Promise<Error>(() => {})
      : new VolumeError("VOLUME_LOST", `the server stopped serving ${place.root}: ${printed() || "no message"}`),
  );
  return {
    programKeys: [],
    lost,
    async close(closeOptions) {
      closing = true;
      try {
        await unmountOrCutOff(place.root, closeOptions, async () => {
          await detachFuse(place.root);
          child.kill("SIGKILL");
        });
      } catch (error) {
        closing = false;
        throw error;
      }
      await awaitEnd(server, endMs);
      await detachFuse(place.root);
      if (child.exitCode !== 0 && child.signalCode !== "SIGKILL")
        onDamage?.("it was not closed in good order: the last writes may be lost");
    },
  };
}

/** A line that is cut at the end is not told: its writer was killed. */
function followLines(output: Readable, told: (line: string) => void): void {
  let rest = "";
  output.on("data", (chunk: Buffer) => {
    const lines = (rest + chunk.toString()).split("\n");
    rest = lines.pop()?.slice(-longestLine) ?? "";
    for (const line of lines) if (line !== "") told(line.slice(0, longestLine));
  });
}
