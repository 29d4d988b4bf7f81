/**
 * The server of one sealfs volume: a process of its own, started by src/volume/sealfs-server.ts. Takes what it is to serve on standard
 * input, mounts it, says so, and serves until it is unmounted. Descriptor 3 is the volume's lock, which it shares with the process
 * that started it; descriptor 4, unless the volume is to outlive that process, a pipe whose end asks for the unmounting; descriptor 5
 * a socket pair on which that process opens envelopes, if it can.
 *
 * Prints one line for each thing that is found wrong in the store.
 */
import { spawn } from "node:child_process";
import { readSync, writeSync } from "node:fs";
import { noteOrderlyEnd } from "../../owner-lock.ts";
import { hardenThisProcess } from "../../process-hardening.ts";
import { readyLine } from "../../sealfs-server.ts";
import { loadSocketCalls, type SocketCalls } from "../control/socket-calls.ts";
import { mountFuseServer } from "../kernel/mount.ts";
import { serveRequests } from "../kernel/serve-requests.ts";
import { loadKernelCalls } from "../kernel/system-calls.ts";
import { openControl } from "./control-socket.ts";
import { Findings } from "./findings.ts";
import { decodeHandover, type Handover, readHandover } from "./handover.ts";
import { OpenedVolume } from "./opened-volume.ts";
import { OwnerChannel } from "./owner-channel.ts";
import { OwnerWrapper } from "./owner-wrapper.ts";
import { ServedWork } from "./served-work.ts";
import { lockedFolders, WithoutFolders } from "./without-folders.ts";

const lockDescriptor = 3;
const ownerDescriptor = 4;
const holderDescriptor = 5;
/** For the last writes of an unmounting whose asker has gone; then the keys go, whoever still has files open. */
const lastWritesMs = 500;

const findings = new Findings();

// Sent to every process of a service that is stopped; the programs that use the volume need it until they have ended. Its owner ends it.
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) process.on(signal, () => {});
// A name that is not there is an error too, thousands of times a second; nobody reads where it was thrown.
Error.stackTraceLimit = 0;

try {
  await hardenThisProcess();
  await serve();
  noteOrderlyEnd(lockDescriptor);
} catch (error) {
  say(error instanceof Error ? error.message : "it failed");
  process.exitCode = 1;
}

async function serve(): Promise<void> {
  const { handover, tableKey } = decodeHandover(readHandover(0));
  using key = tableKey;
  const { mountPoint, store, allowOther, hasOwner } = handover;
  const calls = await loadKernelCalls();
  const sockets = await loadSocketCalls();
  const owned = keyHolderOf(handover, sockets);
  const volume = await OpenedVolume.open(handover, key, find, "serve", owned?.wrapper);
  // Also when mounting fails: then nothing was written, and the session has ended as well as any.
  using closing = new DisposableStack();
  closing.defer(() => volume.close());
  key[Symbol.dispose]();
  const user = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  const descriptor = mountFuseServer(calls, { source: store, mountPoint, ...user, allowOther });
  const work = new ServedWork({
    volume,
    sockets,
    descriptor,
    findings,
    report: find,
    ...(owned?.channel === undefined ? {} : { owner: owned.channel }),
  });
  const { table } = volume.keys;
  const hidesLocked = handover.hideLocked && !table.wrapper.canUnwrap;
  const control = openControl(handover.controlSocket, sockets, user.uid, work.answer);
  say(readyLine);
  let endsMs: number | undefined;
  const ownerSpoke = () => {
    if (ownerLives()) return "goOn" as const;
    endsMs = performance.now() + lastWritesMs;
    unmountFromElsewhere(mountPoint);
    return "leave" as const;
  };
  if (hasOwner) control.server.watch(ownerDescriptor, ownerSpoke);
  const idle = () => {
    if (endsMs === undefined) return work.idle();
    const leftMs = endsMs - performance.now();
    return leftMs > 0 ? leftMs : "stop";
  };
  serveRequests({
    calls,
    descriptor,
    fileSystem: hidesLocked ? new WithoutFolders(volume.tree, lockedFolders(table.zones())) : volume.tree,
    idle,
    onFault: ({ request, node, error }) => find(`fault: ${request} of node ${node}: ${nameOf(error)}`),
    control: {
      descriptor: control.server.descriptor,
      ready() {
        control.server.ready();
        return "goOn";
      },
    },
  });
  control.close();
  work.close();
}

function keyHolderOf(
  { keyHolder }: Handover,
  sockets: SocketCalls,
): { readonly wrapper: OwnerWrapper; readonly channel: OwnerChannel | undefined } | undefined {
  if (keyHolder === undefined) return undefined;
  const channel = keyHolder.canUnwrap ? new OwnerChannel(sockets, holderDescriptor) : undefined;
  return { wrapper: new OwnerWrapper(Buffer.from(keyHolder.publicKey, "hex"), channel), channel };
}

/** The owner says nothing: that its pipe can be read means that it has gone. */
function ownerLives(): boolean {
  return readSync(ownerDescriptor, Buffer.alloc(64)) > 0;
}

/** The kernel asks this process for the last writes before it lets go, so another has to do it. */
function unmountFromElsewhere(mountPoint: string): void {
  spawn("umount", ["--lazy", "--", mountPoint], { stdio: "ignore" }).unref();
}

/** Tells of what is wrong, the same once. */
function find(what: string): void {
  if (findings.add(what)) say(what);
}

/** The reader may be gone, or slow: then it is not told, and nothing waits for it. */
function say(line: string): void {
  try {
    writeSync(1, `${line}\n`);
  } catch {}
}

/** An error's message may hold what a program wrote. */
function nameOf(error: unknown): string {
  return error instanceof Error ? `${error.name}${"code" in error ? ` ${String(error.code)}` : ""}` : typeof error;
}
