import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { mountAt, mountOf, parseMountInfo, readMounts, unescapeOctal } from "../../../src/volume/mounts.ts";
import { scaled, seed } from "../../run-settings.ts";

const sample = [
  "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro",
  "23 22 0:21 / /proc rw,nosuid - proc proc rw",
  "40 22 0:40 / /srv/my\\040node/root rw,nosuid,nodev shared:20 master:3 - fuse.gocryptfs /srv/my\\040node/store rw",
  "41 22 0:41 / /srv rw - tmpfs tmpfs rw",
  "42 41 0:42 / /srv rw - ext4 /dev/sdb1 rw",
  "43 22 0:43 / /srvx rw - xfs /dev/sdc1 rw",
  "",
].join("\n");
const mounts = parseMountInfo(sample);

describe("the mounts of /proc/self/mountinfo", () => {
  it("are read with and without optional fields, escapes taken out", () => {
    assert.equal(mounts.length, 6);
    assert.deepEqual(mounts[0], { mountPoint: "/", type: "ext4", source: "/dev/sda1" });
    assert.deepEqual(mounts[2], {
      mountPoint: "/srv/my node/root",
      type: "fuse.gocryptfs",
      source: "/srv/my node/store",
    });
  });

  it("leave out lines of another form", () => {
    for (const line of ["", "garbage", "22 1 8:1 / /", "22 1 8:1 / / rw - ext4", "a b c d e f - ", "- - - - - - -"])
      assert.ok(parseMountInfo(line).length <= (line.startsWith("a b") ? 1 : 0), line);
  });

  it("are read from any text without an error", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 400 }), (text) => void parseMountInfo(text)),
      { seed, numRuns: scaled(4000) },
    );
  });

  it("are found at a path only when they stand exactly there, the last one first", () => {
    assert.equal(mountAt("/srv", mounts)?.source, "/dev/sdb1");
    assert.equal(mountAt("/srv/", mounts), undefined);
    assert.equal(mountAt("/srv/my node", mounts), undefined);
    assert.equal(mountAt("/nowhere", mounts), undefined);
  });

  it("hold a path by the deepest mount point above it, never by one whose name only begins alike", () => {
    assert.equal(mountOf("/srv/my node/root/data", mounts)?.type, "fuse.gocryptfs");
    assert.equal(mountOf("/srvx/a", mounts)?.type, "xfs");
    assert.equal(mountOf("/srvy", mounts)?.mountPoint, "/");
    assert.equal(mountOf("/srv/other", mounts)?.source, "/dev/sdb1");
    assert.equal(mountOf("/any", []), undefined);
  });

  it("include the root of this machine", () => {
    assert.ok(mountAt("/", readMounts()));
  });
});

describe("octal escapes", () => {
  it("are taken out once, and only where they are whole", () => {
    assert.equal(unescapeOctal("a\\040b\\011c\\012d\\134e"), "a b\tc\nd\\e");
    assert.equal(unescapeOctal("\\134040"), "\\040");
    for (const text of ["\\04", "\\999", "\\x20", "\\", "\\ 40"]) assert.equal(unescapeOctal(text), text);
  });
});
