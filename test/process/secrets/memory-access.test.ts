import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, chownSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { nobody, otherUserUnavailable } from "../other-user.ts";
import { KeyManagerFolder, type RunOptions, startServer } from "../running-server.ts";

const isRoot = process.getuid?.() === 0;
/** Root may read everything: the server and the one who looks are another user then, the same for both. */
const user: RunOptions = isRoot ? { uid: nobody, gid: nobody } : {};

describe("the memory of a running key manager", { skip: isRoot && otherUserUnavailable }, () => {
  it("can't be read by another process of its own user, nor can its environment or its open files", async () => {
    using manager = await KeyManagerFolder.make();
    if (isRoot) giveTo(nobody, manager);
    await using server = await startServer(manager, [], user);
    for (const name of ["mem", "environ", "maps", "auxv", "fd/0"]) {
      const read = spawnSync("head", ["-c", "1", `/proc/${server.pid}/${name}`], { ...user, encoding: "utf8" });
      assert.notEqual(read.status, 0, name);
      assert.match(read.stderr, /Permission denied|Operation not permitted/, name);
    }
    // A process that is not dumpable belongs to root in /proc (proc(5)).
    assert.equal(statSync(`/proc/${server.pid}/environ`).uid, 0);
  });

  it("could be read so without that: the same look at an ordinary process succeeds", () => {
    const look = 'head -c 1 "/proc/$$/environ" >/dev/null';
    assert.equal(spawnSync("sh", ["-c", look], { ...user, encoding: "utf8" }).status, 0);
  });
});

function giveTo(uid: number, { folder, dataDir, unlockFile }: KeyManagerFolder): void {
  const files = readdirSync(dataDir).map((name) => join(dataDir, name));
  for (const path of [folder, dataDir, unlockFile, ...files]) chownSync(path, uid, uid);
  chmodSync(folder, 0o700);
}
