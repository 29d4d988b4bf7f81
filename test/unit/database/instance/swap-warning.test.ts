import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { swapWarning } from "../../../../src/database/instance/swap-warning.ts";
import type { SystemFiles } from "../../../../src/volume/system-files.ts";

/** A machine with these lines in /proc/swaps, whose devices nothing is known of. */
function machine(lines: string): SystemFiles {
  const swaps = `Filename\tType\tSize\tUsed\tPriority\n${lines}`;
  return {
    read: (path) => (path === "/proc/swaps" ? swaps : undefined),
    list: () => [],
    deviceOf: () => undefined,
  };
}

describe("what a database instance says of swap", () => {
  it("is nothing on a machine without", () => {
    assert.equal(swapWarning(machine("")), undefined);
  });

  it("is a warning with the area and the remedy where memory could come to a disk in plain", () => {
    const said = swapWarning(machine("/dev/sda2 partition 1000 0 -2\n")) ?? "";
    assert.match(said, /^warning: swap: \/dev\/sda2: .*in plain; turn swap off, as root: swapoff -a/);
  });

  it("is a warning where the kernel does not tell", () => {
    assert.match(swapWarning({ ...machine(""), read: () => undefined }) ?? "", /^warning: swap: .*cannot be read/);
  });
});
