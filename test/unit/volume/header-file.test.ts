import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { maxHeaderBytes } from "../../../src/volume/header.ts";
import { readHeaderFile } from "../../../src/volume/header-file.ts";
import { loadLibc } from "../../../src/volume/libc.ts";
import { placePaths } from "../../../src/volume/place.ts";

describe("a volume's header file", () => {
  let folder = "";
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "strongroom-header-"));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));
  const place = () => placePaths({ folder });

  it("is read whole", () => {
    writeFileSync(place().headerFile, "a header");
    assert.equal(readHeaderFile(place()).toString(), "a header");
  });

  it("is read only as far as shows that it is too long", () => {
    writeFileSync(place().headerFile, Buffer.alloc(1 << 20));
    assert.equal(readHeaderFile(place()).length, maxHeaderBytes + 1);
  });

  it("is absent when there is none", () => {
    assert.throws(() => readHeaderFile(place()), { code: "VOLUME_ABSENT" });
  });

  it("is refused when it is a link, a folder or a FIFO, without waiting", async () => {
    const refused = { code: "VOLUME_HEADER_INVALID", exitCode: 5 };
    const { headerFile } = place();
    writeFileSync(join(folder, "elsewhere"), "a header");
    symlinkSync(join(folder, "elsewhere"), headerFile);
    assert.throws(() => readHeaderFile(place()), refused);
    rmSync(headerFile);
    mkdirSync(headerFile);
    assert.throws(() => readHeaderFile(place()), refused);
    rmSync(headerFile, { recursive: true });
    (await loadLibc()).makeFifo(headerFile, 0o600);
    assert.throws(() => readHeaderFile(place()), refused);
  });
});
