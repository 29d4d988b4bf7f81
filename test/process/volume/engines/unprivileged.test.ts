import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chownSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { nobody, otherUserUnavailable } from "../../other-user.ts";
import { run } from "./processes.ts";

const program = join(import.meta.dirname, "unprivileged-program.ts");

/** As root of namespaces of its own, in which the device of FUSE may be opened by anybody: as most machines have it. */
const asNobody = `
set -e
mknod -m 666 "$1/fuse" c 10 229
mount --bind "$1/fuse" /dev/fuse
exec setpriv --reuid ${nobody} --regid ${nobody} --clear-groups unshare --user --map-root-user --mount "$2" "$3" "$1"
`;
const skip =
  otherUserUnavailable ||
  (existsSync("/dev/fuse") ? false : "this machine has no /dev/fuse") ||
  (spawnSync("setpriv", ["--reuid", `${nobody}`, "unshare", "--user", "--map-root-user", "--mount", "true"]).status ===
  0
    ? false
    : "users other than root may make no namespaces here");

describe("a sealfs volume of a user who is root in a namespace only", { skip }, () => {
  it("is mounted, and does what a file system must", async () => {
    const folder = mkdtempSync(join(tmpdir(), "strongroom-unprivileged-"));
    try {
      chownSync(folder, nobody, nobody);
      const args = ["--mount", "sh", "-c", asNobody, "sh", folder, process.execPath, program];
      assert.match(await run("unshare", args), /^\d+ tried by user 0\n$/);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
