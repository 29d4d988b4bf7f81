import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { checkSwap, parseSwaps } from "../../../src/volume/swap.ts";
import { type SystemFiles, thisMachine } from "../../../src/volume/system-files.ts";
import { scaled, seed } from "../../run-settings.ts";

const heading = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";

interface Block {
  readonly name: string;
  readonly dmUuid?: string;
  readonly slaves?: readonly string[];
  readonly backing?: string;
}

/** A machine with these swap lines; `devices` says on which block device each path lies. */
function machine(lines: string, devices: Readonly<Record<string, string>>, blocks: readonly Block[]): SystemFiles {
  const files = new Map([["/proc/swaps", heading + lines]]);
  const folders = new Map<string, readonly string[]>();
  for (const [index, { name, dmUuid, slaves = [], backing }] of blocks.entries()) {
    files.set(`/sys/dev/block/8:${index}/uevent`, `MAJOR=8\nMINOR=${index}\nDEVNAME=${name}\nDEVTYPE=disk\n`);
    if (dmUuid !== undefined) files.set(`/sys/class/block/${name}/dm/uuid`, `${dmUuid}\n`);
    if (backing !== undefined) files.set(`/sys/block/${name}/backing_dev`, `${backing}\n`);
    folders.set(`/sys/class/block/${name}/slaves`, slaves);
  }
  return {
    read: (path) => files.get(path),
    list: (path) => folders.get(path) ?? [],
    deviceOf(path) {
      const index = blocks.findIndex(({ name }) => name === devices[path]);
      return index < 0 ? undefined : `8:${index}`;
    },
  };
}

const crypt = "CRYPT-PLAIN-cswap";

describe("the areas of /proc/swaps", () => {
  it("are none below the heading alone, or in an empty file", () => {
    assert.deepEqual(parseSwaps(heading), []);
    assert.deepEqual(parseSwaps(""), []);
  });

  it("are read with path, type and size", () => {
    assert.deepEqual(
      parseSwaps(
        `${heading}/dev/sda2                               partition\t1951740\t\t0\t\t-2\n/swap.img file 2097148 12 -3\n`,
      ),
      [
        { path: "/dev/sda2", type: "partition", sizeKiB: 1951740 },
        { path: "/swap.img", type: "file", sizeKiB: 2097148 },
      ],
    );
  });

  it("have the kernel's escapes taken out of their names", () => {
    assert.deepEqual(
      parseSwaps(`${heading}/mnt/my\\040swap\\011a\\134b file 8 0 -2\n`).map(({ path }) => path),
      ["/mnt/my swap\ta\\b"],
    );
  });

  it("count a line of another form as an area, so that it is not passed over", () => {
    for (const line of ["garbage", "/dev/sda2 partition", "/dev/sda2 network x 0 0", "\u0000"])
      assert.equal(parseSwaps(`${heading}${line}\n`).length, 1, line);
  });

  it("are found in any text without an error, one for each line that is not blank", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "binary" }).filter((line) => !line.includes("\n"))), (lines) => {
        const expected = lines.filter((line) => line.trim() !== "").length;
        assert.equal(parseSwaps(`${heading}${lines.join("\n")}`).length, expected);
      }),
      { seed, numRuns: scaled(2000) },
    );
  });
});

describe("the check of swap", () => {
  it("passes a machine without swap", () => {
    assert.deepEqual(checkSwap(machine("", {}, [])), { check: "swap", ok: true, detail: "off" });
  });

  for (const [what, lines, devices, blocks] of [
    ["zram", "/dev/zram0 partition 100 0 100\n", { "/dev/zram0": "zram0" }, [{ name: "zram0", backing: "none" }]],
    ["zram without write-back", "/dev/zram0 partition 100 0 100\n", { "/dev/zram0": "zram0" }, [{ name: "zram0" }]],
    ["dm-crypt", "/dev/dm-0 partition 100 0 -2\n", { "/dev/dm-0": "dm-0" }, [{ name: "dm-0", dmUuid: crypt }]],
    [
      "a file on dm-crypt",
      "/swapfile file 100 0 -2\n",
      { "/swapfile": "dm-1" },
      [{ name: "dm-1", dmUuid: "CRYPT-LUKS2-5a5a-root" }],
    ],
    [
      "LVM on dm-crypt",
      "/dev/dm-1 partition 100 0 -2\n",
      { "/dev/dm-1": "dm-1" },
      [
        { name: "dm-0", dmUuid: "CRYPT-LUKS2-aa-disk" },
        { name: "dm-1", dmUuid: "LVM-abcdef", slaves: ["dm-0"] },
      ],
    ],
  ] as const)
    it(`passes ${what}`, () => {
      const finding = checkSwap(machine(lines, devices, blocks));
      assert.equal(finding.ok, true, finding.detail);
    });

  for (const [what, lines, devices, blocks, detail] of [
    [
      "a plain partition",
      "/dev/sda2 partition 100 0 -2\n",
      { "/dev/sda2": "sda2" },
      [{ name: "sda2" }],
      /\/dev\/sda2: an unencrypted partition on sda2/,
    ],
    [
      "a file on a plain disk",
      "/my\\040swap file 100 0 -2\n",
      { "/my swap": "sda1" },
      [{ name: "sda1" }],
      /\/my swap: an unencrypted file on sda1/,
    ],
    [
      "a device that is not known",
      "/dev/sdz9\\040(deleted) partition 100 0 -2\n",
      {},
      [],
      /its device is not known, so it counts as unencrypted/,
    ],
    [
      "zram that writes back to a disk",
      "/dev/zram0 partition 100 0 100\n",
      { "/dev/zram0": "zram0" },
      [{ name: "zram0", backing: "/dev/sdb1" }],
      /zram that writes back to \/dev\/sdb1/,
    ],
    [
      "a file on a file system on zram, whose backing is not asked for",
      "/z/swap file 100 0 -2\n",
      { "/z/swap": "zram1" },
      [{ name: "zram1" }],
      /an unencrypted file on zram1/,
    ],
    [
      "LVM of which one disk is plain",
      "/dev/dm-1 partition 100 0 -2\n",
      { "/dev/dm-1": "dm-1" },
      [
        { name: "dm-0", dmUuid: crypt },
        { name: "sdb" },
        { name: "dm-1", dmUuid: "LVM-abcdef", slaves: ["dm-0", "sdb"] },
      ],
      /an unencrypted partition on dm-1/,
    ],
    [
      "devices stacked in a ring",
      "/dev/dm-0 partition 100 0 -2\n",
      { "/dev/dm-0": "dm-0" },
      [{ name: "dm-0", dmUuid: "LVM-a", slaves: ["dm-0"] }],
      /unencrypted/,
    ],
    [
      "a mapping that only calls itself crypt",
      "/dev/dm-0 partition 100 0 -2\n",
      { "/dev/dm-0": "dm-0" },
      [{ name: "dm-0", dmUuid: "LVM-CRYPT-x" }],
      /unencrypted/,
    ],
    [
      "one plain area beside an encrypted one",
      "/dev/dm-0 partition 100 0 -2\n/dev/sda2 partition 100 0 -3\n",
      { "/dev/dm-0": "dm-0", "/dev/sda2": "sda2" },
      [{ name: "dm-0", dmUuid: crypt }, { name: "sda2" }],
      /dm-0: encrypted \(dm-crypt\); .*sda2: an unencrypted/,
    ],
    ["a line that is not understood", "garbage\n", {}, [], /garbage/],
  ] as const)
    it(`fails ${what}`, () => {
      const finding = checkSwap(machine(lines, devices, blocks));
      assert.equal(finding.ok, false);
      assert.match(finding.detail, detail);
      assert.match(finding.remedy ?? "", /swapoff/);
    });

  it("fails when /proc/swaps cannot be read", () => {
    assert.equal(checkSwap({ read: () => undefined, list: () => [], deviceOf: () => undefined }).ok, false);
  });

  it("comes to a verdict on this machine", () => {
    assert.equal(checkSwap(thisMachine).check, "swap");
    assert.equal(thisMachine.deviceOf("/no/such/file"), undefined);
    assert.deepEqual(thisMachine.list("/no/such/folder"), []);
  });
});
