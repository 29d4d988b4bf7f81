import assert from "node:assert/strict";
import { chmodSync, copyFileSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { makeTestCard, sdfCardMissing } from "../../../sdf-card/build.ts";
import { patternOf, readPage, runSession, stepsOf } from "../../docs/written-session.ts";
import { repository, TemporaryFolder } from "../../running-server.ts";
import { freePorts, type Outcome, run } from "../build/chain-scripts.ts";

/** The page's part on the client: it comes after the chain's own commands, which other tests run. */
const page = readPage("chain.md");
const part = page.slice(page.indexOf("## The client"));

describe("the client of a chain", { timeout: 240_000 }, () => {
  const folder = new TemporaryFolder();
  const at = (name: string) => join(folder.path, name);
  const nodes = at("nodes/127.0.0.1");
  let rpc = 0;

  const chain = (...args: readonly string[]): Promise<Outcome> =>
    run(join(repository, "bin/strongroom"), ["chain", ...args], folder.path);
  const changed = (file: string, from: string, to: string): string => {
    const text = readFileSync(at(file), "utf8");
    assert.ok(text.includes(from), from);
    writeFileSync(at(`changed-${file}`), text.replace(from, to), { mode: 0o600 });
    return at(`changed-${file}`);
  };

  before(async () => {
    const ports = await freePorts();
    rpc = ports.rpc;
    const args = ["-l", "127.0.0.1:1", "-p", `${ports.p2p},${rpc}`, "-s", "-o", "nodes"];
    const built = await run(join(repository, "bin/build_chain.sh"), args, folder.path);
    assert.equal(built.code, 0, built.stderr);
    const started = await run("bash", [join(nodes, "start_all.sh")], folder.path);
    assert.equal(started.code, 0, started.stderr);
  });
  after(async () => {
    await run("bash", [join(nodes, "stop_all.sh")], folder.path);
    folder[Symbol.dispose]();
  });

  it("does what docs/chain.md says, as it is written", async () => {
    const [step] = stepsOf(part.replaceAll("127.0.0.1:20200", `127.0.0.1:${rpc}`));
    assert.ok(step?.printed !== undefined);
    const { exitCode, printed, stderr } = await runSession([step], folder.path, {});
    assert.equal(exitCode, 0, stderr);
    assert.match(printed[0] ?? "", patternOf(step.printed));
  });

  it("is a package's export, and docs/chain.md's program runs with it", async () => {
    const program = /^```js\n([\s\S]*?)^```$/m.exec(part)?.[1];
    assert.ok(program !== undefined);
    const installed = at("node_modules/strongroom");
    mkdirSync(installed, { recursive: true });
    const { exports } = JSON.parse(readFileSync(join(repository, "package.json"), "utf8"));
    const source = join(repository, exports["./chain"].replace("./dist/", "src/").replace(/\.js$/, ".ts"));
    writeFileSync(join(installed, "chain.mjs"), `export * from ${JSON.stringify(source)};\n`);
    writeFileSync(join(installed, "package.json"), JSON.stringify({ exports: { "./chain": "./chain.mjs" } }));
    writeFileSync(at("client.mjs"), program);
    const { code, stdout, stderr } = await run(process.execPath, ["client.mjs"], folder.path);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^block \d+, asset = 1001\n$/);
  });

  it("prints JSON, takes bytes that are no text, and finds a receipt again", async () => {
    const set = await chain("set", "--hex", "00ff", "0x0a1b", "--json");
    assert.equal(set.code, 0, set.stderr);
    const receipt = JSON.parse(set.stdout);
    assert.deepEqual([receipt.status, receipt.output], [0, "0x"]);
    const again = await chain("receipt", receipt.transactionHash, "--json");
    assert.deepEqual(JSON.parse(again.stdout), receipt);
    const proved = JSON.parse((await chain("get", "--hex", "00ff", "--json")).stdout);
    assert.deepEqual([proved.value, proved.proved, proved.blockNumber > receipt.blockNumber], ["0x0a1b", true, true]);
    assert.equal((await chain("get", "--unproved", "--hex", "00ff")).stdout, "0x0a1b\n");
    const info = JSON.parse((await chain("info", "--json")).stdout);
    assert.equal(info.nodes[0].sealer, 0);
    assert.equal(info.nodes[0].head.signatures, 1);
    assert.deepEqual([info.quorum, info.sealers.length], [1, 1]);
  });

  it("goes to the next of the peers when the first is away, and says which is", async () => {
    const config = changed("config.toml", `["127.0.0.1:${rpc}"]`, `["127.0.0.1:1", "127.0.0.1:${rpc}"]`);
    assert.equal((await chain("set", "a", "b", "--config", config)).code, 0);
    const info = await chain("info", "--config", config);
    assert.equal(info.code, 4);
    assert.match(info.stderr, /127\.0\.0\.1:1 does not answer/);
    assert.match(info.stdout, new RegExp(`127.0.0.1:${rpc} +0 +0 +\\d+ +0x`));
  });

  it("takes strongroom.config.toml before config.toml, and --config before both", async () => {
    const own = changed("config.toml", `127.0.0.1:${rpc}`, "127.0.0.1:1");
    renameSync(own, at("strongroom.config.toml"));
    try {
      assert.equal((await chain("get", "asset")).code, 4);
      assert.equal((await chain("get", "asset", "--config", "config.toml")).code, 0);
    } finally {
      rmSync(at("strongroom.config.toml"));
    }
  });

  it("shows nothing of a value that steers a terminal", async () => {
    assert.equal((await chain("set", "escape", "\u001b[31mred")).code, 0);
    assert.equal((await chain("get", "escape")).stdout, "0x1b5b33316d726564\n");
  });

  const cases: readonly (readonly [string, number, RegExp, (() => readonly string[]) | readonly string[]])[] = [
    ["an entry that is not there", 1, /no entry nothing/, ["get", "nothing"]],
    ["an entry that is not there, unproved", 1, /no entry nothing/, ["get", "nothing", "--unproved"]],
    ["no value", 2, /missing required argument/, ["set", "a"]],
    ["an empty key", 2, /the key has 1 to 256 bytes/, ["set", "", "v"]],
    ["a key that is too long", 2, /the key has 1 to 256 bytes/, ["get", "k".repeat(257)]],
    ["a value that is too long", 2, /the value has 0 to 4096 bytes/, ["set", "k", "v".repeat(4097)]],
    ["hexadecimal that is none", 2, /the value is not hexadecimal/, ["set", "--hex", "00", "0"]],
    ["a hash that is none", 2, /64 hexadecimal digits/, ["receipt", "0x12"]],
    ["no configuration", 1, /none\.toml cannot be read/, ["info", "--config", "none.toml"]],
    ["no genesis", 1, /none\.genesis cannot be read/, ["info", "--genesis", "none.genesis"]],
    ["a hash that no block holds", 3, /no block holds/, ["receipt", `0x${"5".repeat(64)}`]],
    [
      "another cryptography than the chain's",
      2,
      /useSMCrypto = false/,
      () => ["get", "a", "--config", changed("config.toml", 'useSMCrypto = "true"', 'useSMCrypto = "false"')],
    ],
    [
      "another group",
      2,
      /names the group other/,
      () => ["get", "a", "--config", changed("config.toml", '"group0"', '"other"')],
    ],
    [
      "TLS",
      2,
      /set disableSsl/,
      () => ["info", "--config", changed("config.toml", 'disableSsl = "true"', 'disableSsl = "false"')],
    ],
    [
      "no account",
      2,
      /neither a cipher machine nor an account file/,
      () => ["set", "a", "b", "--config", changed("config.toml", 'accountFilePath = "account.pem"', "")],
    ],
    [
      "nodes that are all away",
      4,
      /none of the nodes answers: 127\.0\.0\.1:1\n/,
      () => ["get", "a", "--config", changed("config.toml", `127.0.0.1:${rpc}`, "127.0.0.1:1")],
    ],
    [
      "the genesis of another chain",
      5,
      /another genesis|no quorum/,
      () => ["set", "a", "b", "--genesis", changed("config.genesis", "chain_id=chain0", "chain_id=chain1")],
    ],
  ];
  for (const [what, exitCode, message, given] of cases)
    it(`ends with ${exitCode} for ${what}`, async () => {
      const { code, stdout, stderr } = await chain(...(typeof given === "function" ? given() : given));
      assert.deepEqual([code, stdout], [exitCode, ""], stderr);
      assert.match(stderr, message);
      assert.match(stderr, /^strongroom: error: /m);
    });

  it("does not sign with an account's file that others may read", async () => {
    copyFileSync(at("account.pem"), at("open.pem"));
    chmodSync(at("open.pem"), 0o644);
    const config = changed("config.toml", "account.pem", "open.pem");
    const { code, stderr } = await chain("set", "a", "b", "--config", config);
    assert.equal(code, 2);
    assert.match(stderr, /holds an account's private key and is open to others[\s\S]*chmod 600/);
  });

  it("signs with a key in a cipher machine, and says what is wrong with the machine", {
    skip: sdfCardMissing(),
  }, async () => {
    const pin = "canary-PIN-7306";
    using card = makeTestCard(pin);
    card.admin("generate", "7");
    writeFileSync(at("pin"), `${pin}\n`, { mode: 0o600 });
    const config = (index: number, library = card.library): string => {
      const machine = `enableHsm = "true"\nhsmLibPath = "${library}"\nhsmKeyIndex = "${index}"\nhsmPasswordFile = "pin"\n`;
      changed("config.toml", "\n[network]", `${machine}\n[network]`);
      renameSync(at("changed-config.toml"), at("card.toml"));
      return at("card.toml");
    };
    const signed = await chain("set", "by", "card", "--config", config(7));
    assert.equal(signed.code, 0, signed.stderr);
    assert.equal((await chain("get", "by", "--config", config(7))).stdout, "card\n");
    for (const [given, message] of [
      [() => config(9), /key 9|index/i],
      [() => config(7, at("no.so")), /no\.so/],
      [
        () => {
          writeFileSync(at("pin"), "wrong-PIN-51\n", { mode: 0o600 });
          return config(7);
        },
        /PIN/,
      ],
    ] as const) {
      const { code, stdout, stderr } = await chain("set", "by", "card", "--config", given());
      assert.notEqual(code, 0);
      assert.match(stderr, /^strongroom: error: /m);
      assert.match(stderr, message);
      assert.doesNotMatch(stdout + stderr, /canary-PIN|wrong-PIN/);
    }
  });

  it("ends with 4 while the node is stopped, and goes on when it is back", async () => {
    await run("bash", [join(nodes, "stop_all.sh")], folder.path);
    const { code, stderr } = await chain("set", "late", "1");
    assert.equal(code, 4);
    assert.match(stderr, /none of the nodes answers/);
    const started = await run("bash", [join(nodes, "start_all.sh")], folder.path);
    assert.equal(started.code, 0, started.stderr);
    assert.equal((await chain("set", "late", "2")).code, 0);
  });
});
