import assert from "node:assert/strict";
import { existsSync, lstatSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { describe, it } from "node:test";
import { memoryFolderCandidates } from "../../../src/volume/memory-folder.ts";
import { processLives } from "../../../src/volume/owner-lock.ts";
import { LaunchedNode, nodekey, shell } from "./launched-node.ts";

/** What a program that must not run would leave behind. */
async function witnessed(tables = "", kind: "geth" | "fisco" = "geth") {
  const node = await LaunchedNode.sealed("", { tables, kind });
  const file = node.folder.at("node.toml");
  writeFileSync(
    file,
    `${readFileSync(file, "utf8").replace("\n[command]\n", () => `\n[command]\n${shell('echo started >"$1"', node.outside("witness"))}\n`)}`,
  );
  return node;
}

describe("launching a node", () => {
  it("hands a sealed key over as /dev/fd/N, which the program can open twice", async () => {
    await using node = await LaunchedNode.sealed(shell('cat "$1" "$1"; cat <&3', "{key:nodekey}"));
    const { code, stdout, stderr } = await node.run();
    assert.equal(stdout, nodekey.repeat(3), stderr);
    assert.equal(code, 0);
  });

  it("hands a sealed key over by number to a program that reads descriptors", async () => {
    await using node = await LaunchedNode.sealed(shell('eval "cat <&$1"', "{fd:nodekey}"));
    assert.equal((await node.run()).stdout, nodekey);
  });

  it("serves a FIFO as often as the manifest says", async () => {
    await using node = await LaunchedNode.sealed(shell('test -p "$1" && cat "$1" && cat "$1"', "{key:nodekey}"), {
      options: { handover: "fifo", reads: 2 },
    });
    const { code, stdout, stderr } = await node.run();
    assert.equal(stdout, nodekey.repeat(2), stderr);
    assert.equal(code, 0);
  });

  it("puts a link at the key's own path while the program runs, and takes it away", async () => {
    await using node = await LaunchedNode.sealed(shell('cat "$1"', "{dir}/nodekey"), {
      options: { handover: "tmpfs-file", link: true },
    });
    const { code, stdout, stderr } = await node.run();
    assert.equal(stdout, nodekey, stderr);
    assert.equal(code, 0);
    assert.equal(lstatSync(node.folder.at("nodekey"), { throwIfNoEntry: false }), undefined);
  });

  it("wipes a key once it has been read, while the program runs on", async () => {
    await using node = await LaunchedNode.sealed(
      `${shell('cat "$1" >/dev/null; sleep 4; wc -c <"$1" >"$2"; exec sleep 30', "{key:nodekey}", "OUT")}\nwipe_settle_seconds = 0`,
    );
    const file = node.folder.at("node.toml");
    writeFileSync(file, readFileSync(file, "utf8").replace('"OUT"', JSON.stringify(node.outside("left"))));
    const { child, ended } = node.start();
    assert.equal((await node.appears("left")).trim(), "0");
    child.kill("SIGTERM");
    assert.equal((await ended).code, 143);
  });

  it("wipes a key that nobody reads after the time limit", async () => {
    await using node = await LaunchedNode.sealed(
      `${shell('sleep 5; wc -c <"$1"', "{key:nodekey}")}\nwipe_after_seconds = 1`,
    );
    assert.equal((await node.run()).stdout.trim(), "0");
  });

  it("scrubs our variables, keeps the others, and puts temporary files off the disk", async () => {
    await using node = await LaunchedNode.sealed(
      `${shell("env; ulimit -c")}\n[command.environment]\nDATADIR = "{dir}/x"`,
    );
    const { stdout } = await node.run();
    assert.doesNotMatch(stdout, /STRONGROOM_|NODE_COMPILE_CACHE/);
    assert.match(stdout, /^KEPT=yes$/m);
    assert.match(stdout, /^TMPDIR=\/(dev\/shm|run|tmp)\/.*strongroom-/m);
    assert.match(stdout, new RegExp(`^DATADIR=${node.folder.path}/x$`, "m"));
    assert.match(stdout.trimEnd(), /\n[01]$/);
  });

  it("keeps the program's exit code", async () => {
    await using node = await LaunchedNode.sealed(shell("exit 42"));
    assert.equal((await node.run()).code, 42);
  });

  it("passes signals on and gives 128 and the number for a program that a signal ends", async () => {
    await using node = await LaunchedNode.sealed("");
    const file = node.folder.at("node.toml");
    const script = 'trap "echo usr1 >>$1" USR1; trap "echo hup >>$1" HUP; echo up >>"$1"; while :; do sleep 0.05; done';
    writeFileSync(
      file,
      readFileSync(file, "utf8").replace("\n[command]\n", () => `\n[command]\n${shell(script, node.outside("log"))}\n`),
    );
    const { child, ended } = node.start();
    await node.appears("log");
    child.kill("SIGUSR1");
    child.kill("SIGHUP");
    while (!/usr1/.test(await node.appears("log")) || !/hup/.test(await node.appears("log")))
      await new Promise((resolve) => setTimeout(resolve, 20));
    child.kill("SIGTERM");
    assert.equal((await ended).code, 143);
  });

  it("ends the program when the launcher itself is killed", async () => {
    await using node = await LaunchedNode.sealed("");
    const file = node.folder.at("node.toml");
    const script = 'echo $$ >"$1"; while :; do sleep 0.05; done';
    writeFileSync(
      file,
      readFileSync(file, "utf8").replace("\n[command]\n", () => `\n[command]\n${shell(script, node.outside("pid"))}\n`),
    );
    const { child, ended } = node.start();
    const pid = Number(await node.appears("pid"));
    assert.equal(processLives(pid), true);
    child.kill("SIGKILL");
    await ended;
    for (const until = Date.now() + 10_000; Date.now() < until && processLives(pid); )
      await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(processLives(pid), false);
  });

  it("leaves nothing in memory folders", async () => {
    await using node = await LaunchedNode.sealed(shell('cat "$1"', "{key:nodekey}"), {
      options: { handover: "tmpfs-file" },
    });
    const { child, ended } = node.start();
    assert.equal((await ended).stdout, nodekey);
    // Other launches, of tests that run at the same time, have folders of their own there.
    const own = new RegExp(`^strongroom-\\d+-${child.pid}-`);
    for (const memory of memoryFolderCandidates().filter((path) => existsSync(path)))
      assert.deepEqual(
        readdirSync(memory).filter((name) => own.test(name)),
        [],
      );
  });
});

describe("a launch that must not be", () => {
  for (const [mood, code] of [
    ["refuse", 3],
    ["unreachable", 4],
    ["other-key", 5],
    ["fail", 1],
  ] as const)
    it(`ends with ${code} when the key manager's answer is "${mood}", with every file as it was and nothing started`, async () => {
      await using node = await witnessed();
      const before = node.snapshot();
      node.mood(mood);
      assert.equal((await node.run()).code, code);
      assert.equal(node.snapshot(), before);
      assert.equal(existsSync(node.outside("witness")), false);
      node.mood("agree");
      assert.equal((await node.run()).code, 0);
      assert.equal(existsSync(node.outside("witness")), true);
    });

  it("is refused with 5 when a sealed file is altered, cut or another key's, and nothing was started", async () => {
    await using node = await witnessed();
    const sealed = node.folder.at("sealed/nodekey.sealed");
    const good = readFileSync(sealed);
    const flipped = Buffer.from(good);
    flipped.writeUInt8(flipped.readUInt8(40) ^ 1, 40);
    for (const bad of [flipped, good.subarray(0, good.length - 1), Buffer.concat([good, Buffer.of(0)])]) {
      writeFileSync(sealed, bad);
      const before = node.snapshot();
      assert.equal((await node.run()).code, 5);
      assert.equal(node.snapshot(), before);
    }
    writeFileSync(sealed, good);
    const manifest = readFileSync(node.folder.at("node.toml"), "utf8");
    node.folder.write("node.toml", manifest.replace(/public_identity = "[0-9a-f]{2}/, 'public_identity = "ee'));
    assert.equal((await node.run()).code, 5);
    assert.equal(existsSync(node.outside("witness")), false);
  });

  it("is refused before a key is asked for when the program does not exist", async () => {
    await using node = await LaunchedNode.sealed('argv = ["/nowhere/geth"]');
    node.mood("refuse");
    const { code, stderr } = await node.run();
    assert.equal(code, 1);
    assert.match(stderr, /not a program that can be started/);
  });

  it("never replaces a file that stands where a link must go", async () => {
    await using node = await LaunchedNode.sealed(shell("echo started"), {
      options: { handover: "tmpfs-file", link: true },
    });
    node.folder.write("nodekey", "precious");
    const { code, stdout } = await node.run();
    assert.equal(code, 1);
    assert.equal(stdout, "");
    assert.equal(readFileSync(node.folder.at("nodekey"), "utf8"), "precious");
  });
});

describe("restarts and leases", () => {
  it("starts a failed program again, after asking the key manager again", async () => {
    await using node = await LaunchedNode.sealed("", { tables: '[restart]\npolicy = "on-failure"\n' });
    const file = node.folder.at("node.toml");
    const script = 'echo run >>"$1"; [ $(wc -l <"$1") -ge 2 ] || exit 7';
    writeFileSync(
      file,
      readFileSync(file, "utf8")
        .replace(/\[restart\][^[]*/, "")
        .replace("\n[command]\n", () => `\n[command]\n${shell(script, node.outside("runs"))}\n`),
    );
    const { code, stderr } = await node.run();
    assert.equal(code, 0, stderr);
    assert.equal(readFileSync(node.outside("runs"), "utf8"), "run\nrun\n");
  });

  it("does not start a failed program again once the key manager refuses", async () => {
    await using node = await LaunchedNode.sealed("", { tables: '[restart]\npolicy = "always"\n' });
    const file = node.folder.at("node.toml");
    const script = 'echo run >>"$1"; echo refuse >"$2"; exit 7';
    const args = [node.outside("runs"), node.outside("mood")];
    writeFileSync(
      file,
      readFileSync(file, "utf8")
        .replace(/\[restart\][^[]*/, "")
        .replace("\n[command]\n", () => `\n[command]\n${shell(script, ...args)}\n`),
    );
    assert.equal((await node.run()).code, 3);
    assert.equal(readFileSync(node.outside("runs"), "utf8"), "run\n");
  });

  for (const [mood, grace] of [
    ["refuse", 3600],
    ["unreachable", 1],
  ] as const)
    it(`a lease stops the node when the key manager's answer is "${mood}"`, async () => {
      await using node = await LaunchedNode.sealed("");
      const file = node.folder.at("node.toml");
      const script = 'echo up >"$1"; exec sleep 60';
      writeFileSync(
        file,
        readFileSync(file, "utf8")
          .replace("\n[lease]\n", `\n[lease]\nseconds = 1\ngrace_seconds = ${grace}\n`)
          .replace("\n[command]\n", () => `\n[command]\n${shell(script, node.outside("up"))}\n`),
      );
      const { ended } = node.start();
      await node.appears("up");
      node.mood(mood);
      const { code, stderr } = await ended;
      assert.equal(code, 3);
      assert.match(stderr, /lease lost/);
    });
});
