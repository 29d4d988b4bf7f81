import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, chownSync, cpSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { nobody, otherUserUnavailable } from "../other-user.ts";
import {
  KeyManagerFolder,
  type Outcome,
  type RunOptions,
  runStrongroom,
  snapshot,
  startServer,
  TemporaryFolder,
} from "../running-server.ts";
import { assertOneClearLine } from "./one-clear-line.ts";
import { SmallDisk } from "./small-disk.ts";

let manager: KeyManagerFolder;
before(async () => {
  manager = await KeyManagerFolder.make();
});
after(() => manager[Symbol.dispose]());

/** `serve`, expected to fail. */
function serve(more: readonly string[], options: RunOptions = {}, data = manager.dataDir): Promise<Outcome> {
  return runStrongroom(["serve", "--data", data, "--native", "127.0.0.1:0", ...more], options);
}

const unlocked = () => ["--unlock-file", manager.unlockFile];

/** Runs `work` and holds the key manager's folder to every byte it had. */
async function unchanged(work: () => Promise<void>): Promise<void> {
  const atFirst = snapshot(manager.folder);
  await work();
  assert.deepEqual(snapshot(manager.folder), atFirst);
}

describe("the data folder", () => {
  it("that is not there ends serve with 1 and is not made", async () => {
    using folder = new TemporaryFolder();
    const data = join(folder.path, "none");
    assertOneClearLine(await serve(unlocked(), {}, data), 1, /is not a key manager's data folder/);
    assert.deepEqual(snapshot(folder.path), {});
  });

  it("that holds something else ends serve and init with 1 and is left as it was", async () => {
    using folder = new TemporaryFolder();
    folder.file("km/letter.txt", "hello");
    const data = join(folder.path, "km");
    const atFirst = snapshot(folder.path);
    assertOneClearLine(await serve(unlocked(), {}, data), 1, /is not a key manager's data folder/);
    const init = await runStrongroom(["init", "--data", data, ...unlocked(), "--slot", "key-file"]);
    assertOneClearLine(init, 1, /is not empty: a key manager is made in a new folder$/);
    assert.deepEqual(snapshot(folder.path), atFirst);
  });

  it("of a key manager is not made anew by init", () =>
    unchanged(async () => {
      const init = await runStrongroom(["init", ...manager.options, "--slot", "key-file"]);
      assertOneClearLine(init, 1, /is not empty/);
    }));

  it("is not made by init for a secret that no key slot can hold", async () => {
    using folder = new TemporaryFolder();
    const place = [
      "--data",
      join(folder.path, "km"),
      "--unlock-file",
      folder.file("short", "31 bytes are one too few, sadly"),
    ];
    assertOneClearLine(await runStrongroom(["init", ...place, "--slot", "key-file"]), 2, /32 to 4096 bytes, got 31$/);
    assert.deepEqual(Object.keys(snapshot(folder.path)), ["short"]);
  });

  it("that is a file, or lies under one, ends init and serve with 1", async () => {
    using folder = new TemporaryFolder();
    const file = folder.file("file", "x");
    for (const data of [file, join(file, "km")]) {
      const init = await runStrongroom(["init", "--data", data, ...unlocked(), "--slot", "key-file"]);
      assertOneClearLine(init, 1, /cannot be made or written/);
      assertOneClearLine(await serve(unlocked(), {}, data), 1, /is not a key manager's data folder/);
    }
    assert.equal(readFileSync(file, "utf8"), "x");
  });

  it("whose path is too long for a socket ends serve with 1 and says so", async () => {
    using folder = new TemporaryFolder();
    const data = join(folder.path, "x".repeat(90));
    cpSync(manager.dataDir, data, { recursive: true });
    assertOneClearLine(await serve(unlocked(), {}, data), 1, /a socket's path has at most 107 bytes$/);
  });

  describe("of another user", { skip: otherUserUnavailable }, () => {
    /** Runs a command as `nobody`, with an unlock file of its own and everything on the way reachable. */
    async function asNobody(args: (unlockFile: string) => readonly string[]): Promise<Outcome> {
      using folder = new TemporaryFolder();
      const unlockFile = folder.file("unlock.key", readFileSync(manager.unlockFile));
      chmodSync(folder.path, 0o755);
      chownSync(unlockFile, nobody, nobody);
      return await runStrongroom(args(unlockFile), { uid: nobody, gid: nobody });
    }
    const serveAt = (data: string) => (unlockFile: string) => [
      "serve",
      "--data",
      data,
      "--native",
      "127.0.0.1:0",
      "--unlock-file",
      unlockFile,
    ];

    it("that can't be entered ends serve with 1 and says that it may not be read", () =>
      unchanged(async () => {
        chmodSync(manager.folder, 0o755);
        assertOneClearLine(await asNobody(serveAt(manager.dataDir)), 1, /cannot be read.*EACCES/);
      }));

    it("that can be read but not written ends serve with 1", async () => {
      using folder = new TemporaryFolder();
      const data = join(folder.path, "km");
      cpSync(manager.dataDir, data, { recursive: true });
      chmodSync(folder.path, 0o755);
      chmodSync(data, 0o755);
      chmodSync(join(data, "root.slots"), 0o644);
      chmodSync(join(data, "store.sqlite"), 0o644);
      const atFirst = snapshot(data);
      assertOneClearLine(await asNobody(serveAt(data)), 1, /cannot be written/);
      assert.deepEqual(snapshot(data), atFirst);
    });

    it("whose store belongs to another ends serve with 1", async () => {
      using folder = new TemporaryFolder();
      const data = join(folder.path, "km");
      cpSync(manager.dataDir, data, { recursive: true });
      for (const path of [folder.path, data, join(data, "root.slots"), join(data, "lock")])
        chownSync(path, nobody, nobody);
      assertOneClearLine(await asNobody(serveAt(data)), 1, /store\.sqlite cannot be opened/);
    });

    it("is not made by init where this user may not write", async () => {
      using folder = new TemporaryFolder();
      chmodSync(folder.path, 0o755);
      const outcome = await asNobody((unlockFile) => [
        "init",
        ...["--data", join(folder.path, "km"), "--unlock-file", unlockFile, "--slot", "key-file"],
      ]);
      assertOneClearLine(outcome, 1, /cannot be made or written/);
      assert.deepEqual(snapshot(folder.path), {});
    });
  });

  it("on a read-only file system ends serve with 1 and is left as it was", {
    skip: SmallDisk.unavailable(),
  }, async () => {
    using disk = SmallDisk.mount(4);
    const data = join(disk.path, "km");
    cpSync(manager.dataDir, data, { recursive: true });
    assert.equal(spawnSync("mount", ["-o", "remount,ro", disk.path]).status, 0);
    const atFirst = snapshot(data);
    assertOneClearLine(await serve(unlocked(), {}, data), 1, /cannot be written/);
    assert.deepEqual(snapshot(data), atFirst);
  });
});

describe("one data folder", () => {
  it("has one server: a second is refused with 1, and the first goes on unharmed", async () => {
    using own = await KeyManagerFolder.make();
    await using first = await startServer(own);
    const key = await first.admin.keys.create({ alias: "alias/held" });
    const atFirst = snapshot(own.dataDir);
    const second = await runStrongroom(["serve", ...own.options, "--native", "127.0.0.1:0"]);
    assertOneClearLine(second, 1, /another Strongroom process works on /);
    assert.deepEqual(snapshot(own.dataDir), atFirst);
    assert.equal((await first.admin.keys.describe("alias/held")).keyId, key.keyId);
    const listed = await runStrongroom(["key", "list", "--json", "--data", own.dataDir]);
    assert.equal(JSON.parse(listed.stdout)[0].keyId, key.keyId);
    const { code, stderr } = await first.stop();
    assert.equal(code, 0, stderr);
  });

  it("is taken by one of several servers that start at once; the others are refused", async () => {
    using own = await KeyManagerFolder.make();
    const outcomes = await Promise.allSettled([1, 2, 3].map(() => startServer(own)));
    const started = outcomes.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
    const refused = outcomes.flatMap((each) => (each.status === "rejected" ? [String(each.reason)] : []));
    try {
      assert.equal(started.length, 1, refused.join("\n"));
      for (const reason of refused) assert.match(reason, /ended with 1: strongroom: error: another Strongroom process/);
      assert.equal((await started[0]?.admin.audit.verify())?.ok, true);
    } finally {
      for (const server of started) await server.kill();
    }
  });

  it("whose server was killed has a stale socket, which commands and the next server get past", async () => {
    using own = await KeyManagerFolder.make();
    const first = await startServer(own);
    await first.admin.keys.create({ alias: "alias/kept" });
    await first.kill();
    assert.equal(existsSync(join(own.dataDir, "admin.sock")), true);
    const listed = await runStrongroom(["key", "list", "--json", ...own.options]);
    assert.equal(listed.code, 0, listed.stderr);
    assert.deepEqual(JSON.parse(listed.stdout)[0].aliases, ["alias/kept"]);

    const second = await startServer(own);
    await second.kill();
    await using third = await startServer(own);
    assert.equal((await third.admin.keys.list()).length, 1);
  });

  it("with a plain file in the socket's place is served all the same", async () => {
    using own = await KeyManagerFolder.make();
    writeFileSync(join(own.dataDir, "admin.sock"), "");
    assert.equal((await runStrongroom(["audit", "verify", ...own.options])).code, 0);
    await using server = await startServer(own);
    assert.equal((await server.admin.audit.verify()).ok, true);
  });
});

describe("an address that is taken", () => {
  let taken: Server;
  let address: string;
  before(async () => {
    taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
    const at = taken.address();
    address = `127.0.0.1:${typeof at === "object" ? at?.port : 0}`;
  });
  after(() => new Promise((resolve) => taken.close(resolve)));

  for (const listener of ["native", "metrics", "fisco"])
    it(`ends serve --${listener} with 1, and leaves the folder to the next server`, async () => {
      using own = await KeyManagerFolder.make();
      const superKey = join(own.folder, "super.key");
      writeFileSync(superKey, "a super key", { mode: 0o600 });
      const more = listener === "fisco" ? ["--fisco-super-key-file", superKey] : [];
      const native = listener === "native" ? [] : ["--native", "127.0.0.1:0"];
      const outcome = await runStrongroom(["serve", ...own.options, ...native, `--${listener}`, address, ...more]);
      assertOneClearLine(
        outcome,
        1,
        new RegExp(`${listener} ${address}: another program listens on the address \\(EADDRINUSE\\)$`),
      );
      assert.equal(existsSync(join(own.dataDir, "admin.sock")), false);
      await using next = await startServer(own);
      assert.equal((await next.admin.audit.verify()).ok, true);
    });

  it("of another machine ends serve with 1", () =>
    runStrongroom(["serve", ...manager.options, "--native", "192.0.2.1:8443"]).then((outcome) =>
      assertOneClearLine(outcome, 1, /native 192\.0\.2\.1:8443: this machine has no such address/),
    ));
});
