import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
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
