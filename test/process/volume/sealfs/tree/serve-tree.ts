/**
 * Mounts a sealed tree and serves it until it is unmounted, or standard input is closed:
 *
 *   node serve-tree.ts BACKING_FOLDER MOUNT_POINT plain|encrypted clean|unclean
 *
 * Prints `serving` once it is mounted, then each fault and event, and last how it ended.
 */
import { readSync, writeSync } from "node:fs";
import { mountFuseServer } from "../../../../../src/volume/sealfs/kernel/mount.ts";
import { serveRequests } from "../../../../../src/volume/sealfs/kernel/serve-requests.ts";
import { loadKernelCalls } from "../../../../../src/volume/sealfs/kernel/system-calls.ts";
import { SealedContents } from "../../../../../src/volume/sealfs/server/sealed-contents.ts";
import { SealedTree } from "../../../../../src/volume/sealfs/tree/sealed-tree.ts";
import { TestKeys } from "../../../../unit/volume/sealfs/tree/test-keys.ts";

const [backingFolder = "", mountPoint = "", names, state] = process.argv.slice(2);
const say = (line: string): void => void writeSync(1, `${line}\n`);
const calls = await loadKernelCalls();
const fileSystem = SealedTree.open({
  backingFolder,
  keys: new TestKeys(names === "encrypted" ? "encrypted" : "plain"),
  contents: new SealedContents({ blockBytes: 4096, integrity: "blocks" }, state === "clean", (_, what) =>
    say(`event: content-damaged: ${what}`),
  ),
  afterCrash: state === "unclean",
  report: ({ kind, detail = "" }) => say(`event: ${kind} ${detail}`),
});
const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
const descriptor = mountFuseServer(calls, { source: backingFolder, mountPoint, ...owner, allowOther: true });
say("serving");
const end = serveRequests({
  calls,
  descriptor,
  fileSystem,
  onFault: ({ request, node, error }) =>
    say(`fault: ${request} of ${node}: ${error instanceof Error ? error.stack : String(error)}`),
  control: { descriptor: 0, ready: () => (readSync(0, Buffer.alloc(64)) > 0 ? "goOn" : "stop") },
});
fileSystem.close();
say(end);
