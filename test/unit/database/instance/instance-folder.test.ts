import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { makeInstanceFolder } from "../../../../src/database/instance/instance-folder.ts";

const folder = mkdtempSync(join(tmpdir(), "strongroom-instance-folder-"));
after(() => rmSync(folder, { recursive: true, force: true }));

describe("the folder of an instance", () => {
  it("is made for its owner alone", () => {
    const made = makeInstanceFolder(join(folder, "a/b")).folder;
    assert.equal(statSync(made).mode & 0o777, 0o700);
  });

  it("may be there, and be read by others", () => {
    chmodSync(folder, 0o755);
    assert.doesNotThrow(() => makeInstanceFolder(folder));
  });

  for (const [what, name, message] of [
    ["a file is in its way", join(folder, "file"), /cannot be made: there is a file in its way/],
    ["a file is where a folder above it would be", join(folder, "file/below/it"), /there is a file in its way/],
    ["its name is that of a link to nowhere", join(folder, "link"), /there is a file in its way/],
    ["nothing can be made where it would be", "/proc/strongroom-instance", /cannot be made: E/],
  ] as const)
    it(`is refused when ${what}`, () => {
      writeFileSync(join(folder, "file"), "");
      rmSync(join(folder, "link"), { force: true });
      symlinkSync(join(folder, "nowhere/at/all"), join(folder, "link"));
      assert.throws(() => makeInstanceFolder(name), { code: "SETTINGS_INVALID", message });
    });

  for (const mode of [0o777, 0o702, 0o1777, 0o770, 0o720, 0o2775])
    it(`is refused when its group or everybody may write to it (${mode.toString(8)})`, () => {
      chmodSync(folder, mode);
      assert.throws(() => makeInstanceFolder(folder), { code: "SETTINGS_INVALID", message: /other users/ });
    });
});
