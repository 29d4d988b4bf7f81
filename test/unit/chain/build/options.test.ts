import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { checkOptions, readHosts, readKeyIndices, readName, readPorts } from "../../../../src/chain/build/options.ts";
import { ChainFolder, fourNodes } from "./chain-folder.ts";

const refusal = (message: RegExp) => ({ name: "ChainBuildError", code: "OPTION_INVALID", exitCode: 2, message });

const on = (...counts: readonly number[]) => counts.map((nodes, index) => ({ host: `10.0.0.${index + 1}`, nodes }));

describe("the options of a chain", () => {
  it("name hosts with their nodes", () => {
    assert.deepEqual(readHosts("127.0.0.1:4"), [{ host: "127.0.0.1", nodes: 4 }]);
    assert.deepEqual(readHosts("192.168.0.1:2,node.example:3"), [
      { host: "192.168.0.1", nodes: 2 },
      { host: "node.example", nodes: 3 },
    ]);
  });

  for (const text of [
    "",
    "127.0.0.1",
    "127.0.0.1:0",
    "127.0.0.1:-1",
    "127.0.0.1:x",
    "300.0.0.1:2",
    "1.2.3:2",
    "../x:1",
    "a b:1",
    "x:1,",
    "::1:2",
  ])
    it(`do not name hosts as "${text}"`, () => {
      assert.throws(() => readHosts(text), refusal(/-l takes HOST:NODES/));
    });

  it("do not name a host as the folder of the authority's key", () => {
    for (const text of ["ca:1", "127.0.0.1:1,CA:2"])
      assert.throws(() => readHosts(text), refusal(/that folder holds the authority's key/));
    assert.deepEqual(readHosts("ca.example:1"), [{ host: "ca.example", nodes: 1 }]);
  });

  it("do not name a host twice, or more nodes than a chain has", () => {
    assert.throws(() => readHosts("127.0.0.1:1,127.0.0.1:2"), refusal(/names 127.0.0.1 twice/));
    assert.throws(() => readHosts("10.0.0.1:60,10.0.0.2:41"), refusal(/101 nodes, the most is 100/));
  });

  it("do not ask for more reference nodes than can start", () => {
    using folder = new ChainFolder();
    const of = (nodes: number) => fourNodes(folder, { hosts: [{ host: "127.0.0.1", nodes }] });
    checkOptions(of(64));
    checkOptions({ ...of(65), binary: "/usr/bin/true" });
    assert.throws(() => checkOptions(of(65)), refusal(/at most 64/));
  });

  it("name two ports that fit and do not meet", () => {
    assert.deepEqual(readPorts("30300,20200", 4), { p2p: 30300, rpc: 20200 });
    for (const text of ["", "30300", "30300,20200,1", "0,20200", "30300,x", "30300, 20200"])
      assert.throws(() => readPorts(text, 4), refusal(/-p takes P2P,RPC/));
    assert.throws(() => readPorts("65533,20200", 4), refusal(/past port 65535/));
    assert.throws(() => readPorts("30300,30303", 4), refusal(/meet/));
    assert.deepEqual(readPorts("30300,30304", 4), { p2p: 30300, rpc: 30304 });
  });

  it("name a key index for each node", () => {
    assert.deepEqual(readKeyIndices("43,44", on(2)), [43, 44]);
    assert.throws(() => readKeyIndices("43", on(2)), refusal(/names 1 keys for 2 nodes/));
    for (const text of ["", "0", "043", "43,", "-1", "4294967296", "x"])
      assert.throws(() => readKeyIndices(text, on(1)), refusal(/--key-index takes whole numbers/));
  });

  it("do not give one key index to two nodes of a host", () => {
    assert.throws(() => readKeyIndices("43,44,43", on(3)), refusal(/gives index 43 to two nodes of 10\.0\.0\.1/));
    assert.throws(() => readKeyIndices("1,1,2,2", on(1, 3)), refusal(/gives index 2 to two nodes of 10\.0\.0\.2/));
    assert.deepEqual(readKeyIndices("43,44,43,44", on(2, 2)), [43, 44, 43, 44]);
  });

  it("name groups and chains that can stand in a file", () => {
    assert.equal(readName("-g", "group0"), "group0");
    for (const text of ["", "a b", "a\nb", "ä", "x".repeat(65)])
      assert.throws(() => readName("-g", text), refusal(/-g takes/));
  });

  it("do not go together: -H without -s or -n, a PIN in config.ini without a PIN", () => {
    using folder = new ChainFolder();
    const hsm = { pinInConfig: false };
    assert.throws(() => checkOptions(fourNodes(folder, { hsm, sm: false, nodeKeys: "x" })), refusal(/-H needs -s/));
    assert.throws(() => checkOptions(fourNodes(folder, { hsm })), refusal(/-H needs -n/));
    const pinless = { hsm: { pinInConfig: true }, nodeKeys: "x" };
    assert.throws(() => checkOptions(fourNodes(folder, pinless)), refusal(/needs --pin-file/));
    const relative = { hsm: { pinInConfig: false, library: "./lib/x.so" }, nodeKeys: "x" };
    assert.throws(() => checkOptions(fourNodes(folder, relative)), refusal(/absolute path/));
    const broken = { hsm: { pinInConfig: false, library: "/x\nkey_index=1" }, nodeKeys: "x" };
    assert.throws(() => checkOptions(fourNodes(folder, broken)), refusal(/absolute path/));
  });
});
