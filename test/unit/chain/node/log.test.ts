import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { LogFiles } from "../../../../src/chain/node/log.ts";

const folder = mkdtempSync(join(tmpdir(), "strongroom-log-"));
after(() => rmSync(folder, { recursive: true, force: true }));
let folders = 0;
const rotation = { maxFileBytes: 200, keptFiles: 3 };
const noon = new Date(2022, 7, 15, 19, 38, 59).getTime();

function newFolder(): string {
  folders += 1;
  return join(folder, `${folders}`, "log");
}

describe("a node's log", () => {
  it("has the document's lines", () => {
    const path = newFolder();
    using log = new LogFiles(path, rotation, "info", () => noon + 270.112);
    log.write("info", "[P2PService][Service][METRIC]heartBeat,connected count=3");
    assert.deepEqual(readdirSync(path), ["log_2022081519.00.log"]);
    assert.equal(
      readFileSync(join(path, "log_2022081519.00.log"), "utf8"),
      "info|2022-08-15 19:38:59.270112|[P2PService][Service][METRIC]heartBeat,connected count=3\n",
    );
    assert.equal(statSync(join(path, "log_2022081519.00.log")).mode & 0o777, 0o600);
  });

  it("goes on in another file when one is full, and drops the oldest", () => {
    const path = newFolder();
    using log = new LogFiles(path, rotation, "info", () => noon);
    for (let count = 0; count < 30; count++) log.write("info", `line ${count} ${"x".repeat(60)}`);
    assert.equal(readdirSync(path).length, 3);
    const newest = readdirSync(path).sort().at(-1) ?? "";
    assert.match(readFileSync(join(path, newest), "utf8"), /line 29/);
    for (const name of readdirSync(path)) assert.ok(statSync(join(path, name)).size <= 200);
  });

  it("begins another file with the hour", () => {
    const path = newFolder();
    let now = noon;
    using log = new LogFiles(path, rotation, "info", () => now);
    log.write("info", "one");
    now += 3_600_000;
    log.write("info", "two");
    assert.deepEqual(readdirSync(path).sort(), ["log_2022081519.00.log", "log_2022081520.00.log"]);
  });

  it("goes on in the file of an earlier run", () => {
    const path = newFolder();
    for (const text of ["one", "two"]) {
      using log = new LogFiles(path, rotation, "info", () => noon);
      log.write("info", text);
    }
    assert.equal(readFileSync(join(path, "log_2022081519.00.log"), "utf8").split("\n").length, 3);
  });

  it("passes over a link, a folder and a pipe in a file's place", () => {
    const path = newFolder();
    mkdirSync(path, { recursive: true });
    const victim = join(path, "somebody's");
    writeFileSync(victim, "untouched");
    symlinkSync(victim, join(path, "log_2022081519.00.log"));
    symlinkSync(join(path, "nowhere"), join(path, "log_2022081519.01.log"));
    mkdirSync(join(path, "log_2022081519.02.log"));
    execFileSync("mkfifo", [join(path, "log_2022081519.03.log")]);
    using log = new LogFiles(path, { ...rotation, keptFiles: 10 }, "info", () => noon);
    log.write("info", "a line");
    assert.match(readFileSync(join(path, "log_2022081519.04.log"), "utf8"), /a line\n$/);
    assert.equal(readFileSync(victim, "utf8"), "untouched");
    assert.equal(existsSync(join(path, "nowhere")), false);
  });

  it("keeps what others say on one line, and not too long", () => {
    const path = newFolder();
    using log = new LogFiles(path, { ...rotation, maxFileBytes: 10_000 }, "info", () => noon);
    log.write("error", `a\ninfo|forged\r\u001b[31m${"y".repeat(5000)}`);
    const content = readFileSync(join(path, "log_2022081519.00.log"), "utf8");
    assert.equal(content.split("\n").length, 2);
    assert.ok(content.length < 2200 && !content.includes("\u001b"));
  });

  it("leaves out what is below its level", () => {
    const path = newFolder();
    using log = new LogFiles(path, rotation, "error", () => noon);
    log.write("info", "no");
    log.write("warning", "no");
    log.write("error", "yes");
    assert.match(readFileSync(join(path, "log_2022081519.00.log"), "utf8"), /^error\|[^\n]*\|yes\n$/);
  });
});
