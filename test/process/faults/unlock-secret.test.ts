import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { chmodSync, chownSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { nobody } from "../other-user.ts";
import { runOnTerminal } from "../program-on-terminal.ts";
import {
  KeyManagerFolder,
  type Outcome,
  type RunOptions,
  runStrongroom,
  snapshot,
  TemporaryFolder,
} from "../running-server.ts";
import { assertOneClearLine } from "./one-clear-line.ts";

let manager: KeyManagerFolder;
before(async () => {
  manager = await KeyManagerFolder.make();
});
after(() => manager[Symbol.dispose]());

/** `serve`, expected to fail. */
function serve(more: readonly string[], options: RunOptions = {}, data = manager.dataDir): Promise<Outcome> {
  return runStrongroom(["serve", "--data", data, "--native", "127.0.0.1:0", ...more], options);
}

/** Runs `work` and holds the key manager's folder to every byte it had. */
async function unchanged(work: () => Promise<void>): Promise<void> {
  const atFirst = snapshot(manager.folder);
  await work();
  assert.deepEqual(snapshot(manager.folder), atFirst);
}

describe("the unlock secret", () => {
  const otherSecret = () => randomBytes(36).toString("base64");

  for (const command of [
    ["serve", "--native", "127.0.0.1:0"],
    ["key", "list"],
    ["audit", "verify"],
  ])
    it(`that is wrong ends ${command.join(" ")} with 5 and one message, and changes nothing`, () =>
      unchanged(async () => {
        using folder = new TemporaryFolder();
        const file = folder.file("other.key", otherSecret());
        const outcome = await runStrongroom([...command, "--data", manager.dataDir, "--unlock-file", file]);
        assertOneClearLine(outcome, 5, /the unlock secret opens no key slot$/);
      }));

  it("that is wrong does not add, change or remove a key slot", () =>
    unchanged(async () => {
      using folder = new TemporaryFolder();
      const place = ["--data", manager.dataDir, "--unlock-file", folder.file("other.key", otherSecret())];
      const newFile = ["--new-file", folder.file("new.key", otherSecret()), "--kind", "key-file"];
      for (const command of [
        ["add", ...newFile],
        ["change", "1", ...newFile],
        ["remove", "1"],
      ])
        assertOneClearLine(await runStrongroom(["key", "slot", ...command, ...place]), 5, /opens no key slot$/);
    }));

  it("does not take the place of the last slot: it can't be removed", () =>
    unchanged(async () => {
      const outcome = await runStrongroom(["key", "slot", "remove", "1", ...manager.options]);
      assertOneClearLine(outcome, 1, /key slot 1 is the last one/);
    }));

  for (const mode of [0o644, 0o640, 0o700])
    it(`in a file of mode 0${mode.toString(8)} is refused with 2 and a remedy`, () =>
      unchanged(async () => {
        using folder = new TemporaryFolder();
        const file = folder.file("open.key", readFileSync(manager.unlockFile));
        chmodSync(file, mode);
        const outcome = await serve(["--unlock-file", file]);
        assertOneClearLine(outcome, 2, new RegExp(`mode 0${mode.toString(8)}`));
        assert.match(outcome.stderr, /^strongroom: hint: chmod 600 /m);
      }));

  it(
    "in another user's file is refused with 2",
    { skip: process.getuid?.() === 0 ? false : "giving a file away needs root" },
    () =>
      unchanged(async () => {
        using folder = new TemporaryFolder();
        const file = folder.file("theirs.key", readFileSync(manager.unlockFile));
        chownSync(file, nobody, nobody);
        assertOneClearLine(await serve(["--unlock-file", file]), 2, /belongs to uid 65534, not to you$/);
      }),
  );

  const faulty: readonly [string, (folder: TemporaryFolder) => string, RegExp][] = [
    ["a file that is not there", (folder) => join(folder.path, "none"), /cannot be read: ENOENT$/],
    ["a folder", (folder) => folder.path, /is not a regular file$|cannot be read: EISDIR$/],
    ["a device", () => "/dev/zero", /is not a regular file$/],
    ["an empty file", (folder) => folder.file("empty", ""), /is empty: an empty unlock secret is refused$/],
    ["a file of one newline", (folder) => folder.file("newline", "\n"), /is empty: an empty unlock secret is refused$/],
    ["a file of 4,097 bytes", (folder) => folder.file("long", Buffer.alloc(4097, "x")), /more than 4096 bytes$/],
  ];
  for (const [name, path, message] of faulty)
    it(`from ${name} is refused with 2`, () =>
      unchanged(async () => {
        using folder = new TemporaryFolder();
        assertOneClearLine(await serve(["--unlock-file", path(folder)]), 2, message);
      }));

  it("that is not given, without a terminal to ask on, is refused with 2", () =>
    unchanged(async () => {
      const outcome = await serve([]);
      assertOneClearLine(outcome, 2, /no unlock secret was given$/);
      assert.match(outcome.stderr, /^strongroom: hint: use --unlock-file/m);
    }));

  const program = join(import.meta.dirname, "../../../bin/strongroom");
  const typed = (...answers: readonly string[]) =>
    runOnTerminal(program, ["audit", "verify", "--data", manager.dataDir], answers);

  it("is asked for on a terminal, where nothing that is typed is shown, and a character is taken back whole", async () => {
    const secret = readFileSync(manager.unlockFile, "utf8").trim();
    const { code, stdout } = await typed(`鑰\x7fé\x08${secret}\r`);
    assert.equal(code, 0, stdout);
    assert.match(stdout, /^Unlock secret: \r?\n/);
    assert.ok(!stdout.includes(secret.slice(0, 8)));
  });

  const useless: readonly (readonly [string, string, RegExp])[] = [
    ["nothing", "\r", /an empty secret is refused/],
    ["Ctrl-C", "half\x03", /interrupted/],
    ["Ctrl-D", "half\x04", /the terminal gave no answer/],
    ["4,097 bytes", `${"x".repeat(4097)}\r`, /more than 4096 bytes were typed/],
  ];
  for (const [what, answer, message] of useless)
    it(`for which ${what} is typed on a terminal is refused with 2`, () =>
      unchanged(async () => {
        const { code, stdout } = await typed(answer);
        assert.equal(code, 2, stdout);
        assert.match(stdout, message);
      }));

  it("that an administrator's command is not given, says that no key manager is running, and how to go on", () =>
    unchanged(async () => {
      const outcome = await runStrongroom(["key", "list", "--data", manager.dataDir]);
      assertOneClearLine(outcome, 2, /no key manager is running on \S+, and without an unlock secret/);
      assert.match(outcome.stderr, /^strongroom: hint: start strongroom serve --data \S+, .*--unlock-file/m);
    }));

  it("is not taken from an argument or the environment", () =>
    unchanged(async () => {
      const text = readFileSync(manager.unlockFile, "utf8");
      assertOneClearLine(await serve(["--unlock", text]), 2, /unknown option/);
      const env = { STRONGROOM_UNLOCK: text, UNLOCK: text, STRONGROOM_UNLOCK_SECRET: text };
      assertOneClearLine(await serve([], { env }), 2, /no unlock secret was given$/);
    }));

  it("comes over a file descriptor", async () => {
    const onDescriptor3 = readFileSync(manager.unlockFile);
    const place = ["audit", "verify", "--data", manager.dataDir, "--unlock-fd"];
    assert.equal((await runStrongroom([...place, "3"], { onDescriptor3 })).code, 0);
    assertOneClearLine(await runStrongroom([...place, "3"], { onDescriptor3: Buffer.alloc(0) }), 2, /is empty/);
    assertOneClearLine(await runStrongroom([...place, "44"]), 2, /file descriptor 44 cannot be read: EBADF$/);
    assertOneClearLine(await runStrongroom([...place, "three"]), 2, /takes the number of a file descriptor$/);
  });

  it("comes as a systemd credential, under the same rules as a file", async () => {
    using folder = new TemporaryFolder();
    const place = ["audit", "verify", "--data", manager.dataDir];
    const env = { CREDENTIALS_DIRECTORY: folder.path };
    assertOneClearLine(await runStrongroom(place, { env }), 2, /strongroom-unlock cannot be read: ENOENT$/);
    const file = folder.file("strongroom-unlock", readFileSync(manager.unlockFile), 0o400);
    assert.equal((await runStrongroom(place, { env })).code, 0);
    chmodSync(file, 0o644);
    assertOneClearLine(await runStrongroom(place, { env }), 2, /mode 0644/);
  });
});
