/**
 * The server of one sealfs volume: a process of its own, started by src/volume/sealfs-server.ts. Takes what it is to serve on standard
 * input, mounts it, says so, and serves until it is unmounted. Descriptor 3 is the volume's lock, which it shares with the process
 * that started it; descriptor 4, unless the volume is to outlive that process, a pipe whose end asks for the unmounting.
 *
 * Prints one line for each thing that is found wrong in the store.
 */
import { spawn } from "node:child_process";
import { readSync, writeSync } from "node:fs";
import { hardenThisProcess } from "../../process-hardening.ts";
import { readyLine } from "../../sealfs-server.ts";
import { mountFuseServer } from "../kernel/mount.ts";
import { serveRequests } from "../kernel/serve-requests.ts";
import { loadKernelCalls } from "../kernel/system-calls.ts";
import { decodeHandover, readHandover } from "./handover.ts";
import { OpenedVolume } from "./opened-volume.ts";

const ownerDescriptor = 4;
/** For the last writes of an unmounting whose asker has gone; then the keys go, whoever still has files open. */
const lastWritesMs = 500;

/** A program that reads a damaged file again and again is told of it each time, the operator once. */
const said = new Set<string>();
const mostRemembered = 10_000;

// Sent to every process of a service that is stopped; the programs that use the volume need it until they have ended. Its owner ends it.
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) process.on(signal, () => {});
// A name that is not there is an error too, thousands of times a second; nobody reads where it was thrown.
Error.stackTraceLimit = 0;

try {
  await hardenThisProcess();
  await serve();
} catch (error) {
  say(error instanceof Error ? error.message : "it failed");
  process.exitCode = 1;
}

async function serve(): Promise<void> {
  const { handover, tableKey } = decodeHandover(readHandover(0));
  using key = tableKey;
  const { mountPoint, store, allowOther, hasOwner } = handover;
  const calls = await loadKernelCalls();
  const volume = await OpenedVolume.open(handover, key, say, "serve");
  key[Symbol.dispose]();
  const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  const descriptor = mountFuseServer(calls, { source: store, mountPoint, ...owner, allowOther });
  say(readyLine);
  let endsMs: number | undefined;
  const ownerSpoke = () => {
    if (ownerLives()) return "goOn";
    endsMs = performance.now() + lastWritesMs;
    unmountFromElsewhere(mountPoint);
    return "leave";
  };
  const idle = () => {
    if (endsMs === undefined) return undefined;
    const leftMs = endsMs - performance.now();
    return leftMs > 0 ? leftMs : "stop";
  };
  serveRequests({
    calls,
    descriptor,
    fileSystem: volume.tree,
    idle,
    onFault: ({ request, node, error }) => say(`fault: ${request} of node ${node}: ${nameOf(error)}`),
    ...(hasOwner ? { control: { descriptor: ownerDescriptor, ready: ownerSpoke } } : {}),
  });
  volume.close();
}

/** The owner says nothing: that its pipe can be read means that it has gone. */
function ownerLives(): boolean {
  return readSync(ownerDescriptor, Buffer.alloc(64)) > 0;
}

/** The kernel asks this process for the last writes before it lets go, so another has to do it. */
function unmountFromElsewhere(mountPoint: string): void {
  spawn("umount", ["--lazy", "--", mountPoint], { stdio: "ignore" }).unref();
}

/** The same is said once. The reader may be gone, or slow: then it is not told, and nothing waits for it. */
function say(line: string): void {
  if (said.has(line)) return;
  if (said.size < mostRemembered) said.add(line);
  try {
    writeSync(1, `${line}\n`);
  } catch {}
}

/** An error's message may hold what a program wrote. */
function nameOf(error: unknown): string {
  return error instanceof Error ? `${error.name}${"code" in error ? ` ${String(error.code)}` : ""}` : typeof error;
}
