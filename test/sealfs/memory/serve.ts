/**
 * Mounts a file system in memory and serves it until it is unmounted, or standard input is closed:
 *
 *   node test/sealfs/memory/serve.ts MOUNT_POINT
 *
 * Prints `serving` once it is mounted, then each fault, and last how it ended and what was left open.
 */
import { readSync, writeSync } from "node:fs";
import { mountFuseServer } from "../../../src/volume/sealfs/kernel/mount.ts";
import { serveRequests } from "../../../src/volume/sealfs/kernel/serve-requests.ts";
import { loadKernelCalls } from "../../../src/volume/sealfs/kernel/system-calls.ts";
import { MemoryFileSystem } from "./memory-file-system.ts";

const [mountPoint = ""] = process.argv.slice(2);
const calls = await loadKernelCalls();
const uid = process.getuid?.() ?? 0;
const gid = process.getgid?.() ?? 0;
const descriptor = mountFuseServer(calls, { source: "memory", mountPoint, uid, gid, allowOther: true });
const fileSystem = new MemoryFileSystem(uid, gid);
const say = (line: string): void => void writeSync(1, `${line}\n`);
say("serving");
const end = serveRequests({
  calls,
  descriptor,
  fileSystem,
  onFault: ({ request, node, error }) => say(`fault: ${request} of ${node}: ${String(error)}`),
  control: { descriptor: 0, ready: () => (readSync(0, Buffer.alloc(64)) > 0 ? "goOn" : "stop") },
});
say(`${end}, ${fileSystem.handleCount} handles`);
