import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import fc from "fast-check";
import { checkCoreDumps, coreLimitFor, parseCoreLimit, temporaryFolderFor } from "../../../src/volume/launch-safety.ts";
import { isInMemory } from "../../../src/volume/memory-folder.ts";
import type { SystemFiles } from "../../../src/volume/system-files.ts";
import { scaled, seed } from "../../run-settings.ts";

const unlimited = 2n ** 64n - 1n;

function limits(soft: string, hard: string): string {
  return [
    "Limit                     Soft Limit           Hard Limit           Units     ",
    "Max cpu time              unlimited            unlimited            seconds   ",
    "Max file size             unlimited            unlimited            bytes     ",
    "Max stack size            8388608              unlimited            bytes     ",
    `Max core file size        ${soft.padEnd(20)} ${hard.padEnd(20)} bytes     `,
    "Max resident set          unlimited            unlimited            bytes     ",
    "Max processes             95968                95968                processes ",
    "",
  ].join("\n");
}

function machine(files: Readonly<Record<string, string>>): SystemFiles {
  return { read: (path) => files[path], list: () => [], deviceOf: () => undefined };
}

function coreDumps(soft: string, hard: string, pattern?: string) {
  const files: Record<string, string> = { "/proc/self/limits": limits(soft, hard) };
  if (pattern !== undefined) files["/proc/sys/kernel/core_pattern"] = `${pattern}\n`;
  return checkCoreDumps(machine(files));
}

describe("the core limit of /proc/PID/limits", () => {
  for (const [soft, hard, expected] of [
    ["0", "0", { softBytes: 0n, hardBytes: 0n }],
    ["0", "unlimited", { softBytes: 0n, hardBytes: unlimited }],
    ["1", "1", { softBytes: 1n, hardBytes: 1n }],
    ["unlimited", "unlimited", { softBytes: unlimited, hardBytes: unlimited }],
    ["1048576", "18446744073709551614", { softBytes: 1048576n, hardBytes: unlimited - 1n }],
  ] as const)
    it(`is read as soft ${soft}, hard ${hard}`, () => {
      assert.deepEqual(parseCoreLimit(limits(soft, hard)), expected);
    });

  for (const [what, text] of [
    ["an empty file", ""],
    ["only a heading", "Limit                     Soft Limit           Hard Limit           Units\n"],
    ["a line without numbers", "Max core file size\n"],
    ["one number", "Max core file size        0                    bytes\n"],
    ["a negative number", "Max core file size        -1                   0                    bytes\n"],
    ["a word that is not unlimited", "Max core file size        infinity             0                    bytes\n"],
    ["another unit", "Max core file size        0                    0                    blocks\n"],
    ["a line that only contains it", "x Max core file size        0                    0                    bytes\n"],
    ["hexadecimal", "Max core file size        0x0                  0                    bytes\n"],
  ] as const)
    it(`is not found in ${what}`, () => assert.equal(parseCoreLimit(text), undefined));

  it("is found or not found in any text, without an error", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 300 }), (text) => void parseCoreLimit(text)),
      { seed, numRuns: scaled(4000) },
    );
  });
});

describe("the check of core dumps", () => {
  for (const [soft, hard, pattern] of [
    ["0", "0", "core"],
    ["1", "1", "core"],
    ["0", "1", "/var/cores/core.%e.%p"],
    ["1", "1", "|/usr/lib/systemd/systemd-coredump %P %u %g"],
    ["1", "1", undefined],
  ] as const)
    it(`passes soft ${soft}, hard ${hard} with ${pattern ?? "a pattern that cannot be read"}`, () => {
      assert.equal(coreDumps(soft, hard, pattern).ok, true);
    });

  for (const [soft, hard, pattern, detail] of [
    ["unlimited", "unlimited", "core", /limit unlimited, hard unlimited; cores are files/],
    ["0", "unlimited", "core", /hard unlimited/],
    ["0", "4096", "core", /hard 4096/],
    ["0", "0", "|/usr/share/apport/apport -p%p", /cores are piped to \/usr\/share\/apport\/apport/],
    ["0", "1", "|/bin/false", /cores are piped/],
    ["1", "unlimited", "|/bin/false", /hard unlimited/],
    ["0", "0", undefined, /core_pattern cannot be read/],
    ["0", "0", "@/run/coredump.socket", /sent to a socket/],
    ["1", "1", "@@/run/coredump.socket", /sent to a socket/],
  ] as const)
    it(`fails soft ${soft}, hard ${hard} with ${pattern ?? "a pattern that cannot be read"}`, () => {
      const finding = coreDumps(soft, hard, pattern);
      assert.equal(finding.ok, false);
      assert.match(finding.detail, detail);
      assert.ok(finding.remedy);
    });

  it("fails when the limits cannot be read", () => {
    assert.equal(checkCoreDumps(machine({ "/proc/sys/kernel/core_pattern": "core\n" })).ok, false);
  });

  it("names the limit that each kind of pattern heeds", () => {
    assert.equal(coreLimitFor("core\n"), 0n);
    assert.equal(coreLimitFor("/cores/|odd"), 0n);
    assert.equal(coreLimitFor("|/bin/cat"), 1n);
  });
});

describe("the temporary folder of a program", () => {
  it("lies on the volume, or is one of its own in memory", () => {
    const folder = mkdtempSync(join(tmpdir(), "strongroom-temporary-"));
    try {
      const onVolume = temporaryFolderFor({ temporaryPath: join(folder, "tmp") });
      onVolume.remove();
      assert.ok(existsSync(join(folder, "tmp")));
      const inMemory = temporaryFolderFor({});
      assert.ok(isInMemory(inMemory.path));
      inMemory.remove();
      assert.ok(!existsSync(inMemory.path));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
