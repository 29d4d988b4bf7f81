import assert from "node:assert/strict";
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { memoryFolderCandidates } from "../../../../src/volume/memory-folder.ts";
import { processLives } from "../../../../src/volume/owner-lock.ts";
import { snapshot } from "../../running-server.ts";
import { until } from "../node/local-chain.ts";
import { LaunchedChain, LaunchedChainNode } from "./launched-chain.ts";

const text = (value: string) => Buffer.from(value);

/** Keys in memory that a launch has made files of. */
function keysInMemoryOf(pid: number): readonly string[] {
  return memoryFolderCandidates().flatMap((parent) =>
    (existsSync(parent) ? readdirSync(parent) : [])
      .filter((name) => new RegExp(`^strongroom-\\d+-${pid}-\\d+-`).test(name))
      .map((name) => join(parent, name, "key"))
      .filter(existsSync),
  );
}

function linksIn(folder: string): readonly string[] {
  return readdirSync(folder).filter((name) => lstatSync(join(folder, name)).isSymbolicLink());
}

/** What lies in the folder beside the log, the lock and links into memory. */
function filesOf({ folder }: LaunchedChainNode): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(snapshot(folder)).filter(([name]) => !/^log(?:\/|$)|(?:^|\/)lock$/i.test(name)),
  );
}

describe("a launched node in the hands of others", { timeout: 300_000 }, () => {
  it("runs once, ends with its launch, and leaves no key behind", async (test) => {
    await using local = await LaunchedChain.build({ nodes: 1 });
    const node = local.node(0);
    const conf = join(node.folder, "conf");
    node.launch();
    await until(`node0 answers: ${node.words}`, async () => (await local.height(0)) !== undefined);
    using client = await local.client(0);
    await client.set(text("first"), text("block"));

    await test.test("a second launch is refused, and takes nothing from the first", async () => {
      const before = linksIn(conf);
      const twin = new LaunchedChainNode(node.folder, node.principal, node.rpcPort);
      const { code, said } = await twin.refusedStart();
      assert.equal(code, 1, said);
      assert.match(said, /is launched already/);
      assert.deepEqual(
        linksIn(conf).filter((name) => !before.includes(name)),
        [],
      );
      await client.set(text("second"), text("block"));
    });

    await test.test("its program alone does not start from the folder: the keys are not there", async () => {
      await until("the keys are wiped once read", () => linksIn(conf).length === 0);
      assert.deepEqual(keysInMemoryOf(node.launchPid), []);
      for (const name of readdirSync(conf, { recursive: true, encoding: "utf8" }))
        assert.ok(!readFileSync(join(conf, name)).includes("PRIVATE KEY"), name);
    });

    await test.test("its launch is killed: the program ends too, and the next launch starts where it was", async () => {
      const { launchPid, programPid } = node;
      assert.equal(await node.end("SIGKILL"), "SIGKILL");
      await until("the program has ended", () => !processLives(programPid));
      assert.deepEqual(keysInMemoryOf(launchPid), []);
      node.launch();
      await until("it runs again", async () => ((await local.height(0)) ?? 0) >= 2);
      await client.set(text("third"), text("block"));
    });

    await test.test("killed while keys are handed over: the next launch wipes what it left", async () => {
      assert.equal(await node.end("SIGTERM"), 0);
      node.launch();
      const killed = node.launchPid;
      await until("a link to a key is there", () => linksIn(conf).length > 0);
      await node.end("SIGKILL");
      const left = keysInMemoryOf(killed);
      assert.ok(left.length > 0);
      // The program may have been started: it ends by the signal that it gets when its launch is gone.
      await until("nothing uses them", async () => (await local.height(0)) === undefined);
      node.launch();
      await until("it runs again", async () => ((await local.height(0)) ?? 0) >= 3);
      assert.deepEqual(left.filter(existsSync), []);
      await until("the links are gone", () => linksIn(conf).length === 0);
      await client.set(text("fourth"), text("block"));
    });
  });

  it("does not start from a folder with another's files or links in it, and harms nothing that they lead to", async (test) => {
    await using local = await LaunchedChain.build({ nodes: 2 });
    const [node, other] = [local.node(0), local.node(1)];
    for (const each of local.nodes) each.launch();
    using client = await local.client(0);
    await until(
      "they answer",
      async () => (await local.height(0)) !== undefined && (await local.height(1)) !== undefined,
    );
    await client.set(text("before"), text("all this"));
    for (const each of local.nodes) assert.equal(await each.end("SIGTERM"), 0);
    const victim = join(local.host, "victim");
    writeFileSync(victim, "what belongs to somebody else", { mode: 0o600 });

    /** Puts something in the place of a file or folder of the node, tries to start it, and puts the own one back. */
    const refusedWith = async (name: string, place: (at: string, own: string) => void) => {
      const at = join(node.folder, name);
      const own = join(local.host, "own");
      const isThere = existsSync(at);
      if (isThere) renameSync(at, own);
      mkdirSync(join(at, ".."), { recursive: true });
      place(at, own);
      const before = filesOf(node);
      const { code, said } = await node.refusedStart();
      assert.notEqual(code, 0, said);
      assert.deepEqual(filesOf(node), before, said);
      assert.equal(readFileSync(victim, "utf8"), "what belongs to somebody else");
      rmSync(at, { recursive: true, force: true });
      if (isThere) renameSync(own, at);
      return { code, said };
    };
    const sealed = "sealed/ssl.sealed";
    assert.ok(existsSync(join(node.folder, sealed)), readdirSync(join(node.folder, "sealed")).join());

    await test.test("a link or a file where a key is handed over", async () => {
      for (const put of [
        (at: string) => symlinkSync(victim, at),
        (at: string) => symlinkSync(join(local.host, "nowhere"), at),
        (at: string) => cpSync(victim, at),
      ]) {
        const { code, said } = await refusedWith("conf/ssl.key", put);
        assert.equal(code, 1, said);
        assert.match(said, /conf\/ssl\.key exists/);
      }
    });

    await test.test("a sealed key of the other node, or a cut one: exit code 5", async () => {
      const copied = await refusedWith(sealed, (at) => cpSync(join(other.folder, sealed), at));
      assert.equal(copied.code, 5, copied.said);
      const cut = await refusedWith(sealed, (at, own) => writeFileSync(at, readFileSync(own).subarray(0, -1)));
      assert.equal(cut.code, 5, cut.said);
    });

    await test.test("the other node's identity, by a copy or a link", async () => {
      for (const put of [
        (at: string) => cpSync(join(other.folder, "identity"), at, { recursive: true }),
        (at: string) => symlinkSync(join(other.folder, "identity"), at),
      ]) {
        const { code, said } = await refusedWith("identity", put);
        assert.ok(code === 3 || code === 5, `${code}: ${said}`);
      }
    });

    await test.test("the other node's volume, or its data: exit code 5", async () => {
      for (const name of ["volume", "volume/data"]) {
        const { code, said } = await refusedWith(name, (at) =>
          cpSync(join(other.folder, name), at, { recursive: true }),
        );
        assert.equal(code, 5, `${name}: ${said}`);
      }
    });

    await test.test("a guard that is a link to somebody's file, or to nothing", async () => {
      for (const target of [victim, join(local.host, "nowhere")]) {
        const { code, said } = await refusedWith("volume/data/guard", (at) => symlinkSync(target, at));
        assert.equal(code, 5, said);
        assert.equal(existsSync(join(local.host, "nowhere")), false);
      }
    });

    await test.test("another chain's config.genesis: exit code 5, or 2", async () => {
      const { code, said } = await refusedWith("config.genesis", (at, own) =>
        writeFileSync(at, readFileSync(own, "utf8").replace("chain_id=chain0", "chain_id=chain1")),
      );
      assert.ok(code === 5 || code === 2, said);
    });

    await test.test("and with its own files it starts and goes on", async () => {
      for (const each of local.nodes) each.launch();
      await client.set(text("after"), text("all that")).catch(() => {});
      await until("the chain goes on", () =>
        client.set(text("after"), text("all that")).then(
          () => true,
          () => false,
        ),
      );
      assert.equal((await client.get(text("before")))?.toString(), "all this");
      for (const each of local.nodes) assert.doesNotMatch(each.words, /equivocation/);
    });
  });

  it("follows no link out of its folder where it writes its log", async () => {
    await using local = await LaunchedChain.build({ nodes: 1 });
    const node = local.node(0);
    const log = join(node.folder, "log");
    mkdirSync(log, { mode: 0o700 });
    node.launch();
    await until("it answers", async () => (await local.height(0)) !== undefined);
    await node.end("SIGTERM");
    const names = readdirSync(log);
    const victim = join(local.host, "victim");
    writeFileSync(victim, "somebody's");
    for (const name of names) {
      unlinkSync(join(log, name));
      symlinkSync(victim, join(log, name));
    }
    node.launch();
    await until(
      "it answers, or has ended",
      async () => (await local.height(0)) !== undefined || /error: /.test(node.said),
    );
    await node.end("SIGTERM");
    assert.equal(readFileSync(victim, "utf8"), "somebody's");
    assert.ok(names.every((name) => !existsSync(join(log, name)) || readlinkSync(join(log, name)) === victim));
  });
});
