import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { EnclaveErrorCode } from "../../../../src/enclave/errors.ts";
import type { FabricLedger } from "../../../../src/enclave/ledger/fabric/fabric-ledger.ts";
import type { LedgerConnection } from "../../../../src/enclave/ledger/ledger.ts";
import { FabricNetwork, tinyChaincode } from "../../../fabric/fabric-network.ts";

const chaincode = "tiny";
let network: FabricNetwork;
let ledger: FabricLedger;
let admin: LedgerConnection;

before(async () => {
  network = await FabricNetwork.start({ mspIds: ["Org1MSP", "Org2MSP"], chaincode, folder: tinyChaincode });
  ledger = network.ledger();
  admin = await ledger.connect(await network.channel.organisation("Org1MSP").issue("admin"));
});
after(async () => {
  await admin[Symbol.asyncDispose]();
  await ledger[Symbol.asyncDispose]();
  await network[Symbol.asyncDispose]();
});

const ask = async (transaction: string, ...args: string[]) =>
  (await admin.evaluate(chaincode, transaction, args)).toString();
const send = async (transaction: string, ...args: string[]) =>
  (await admin.submit(chaincode, transaction, args)).result.toString();
const refusal = (code: EnclaveErrorCode, message?: RegExp) => (error: Error & { code?: string }) => {
  assert.equal(error.code, code, error.message);
  if (message !== undefined) assert.match(error.message, message);
  return true;
};

describe("a registry's state over Fabric's chaincode runtime", () => {
  it("registers with the peer under the id of its package", async () => {
    using stream = await network.service.connect(chaincode);
    assert.equal(stream.chaincodeId, "tiny_1.0:0123");
  });

  it("gives a record that an earlier transaction put", async () => {
    await send("put", "one", "records", "a");
    assert.equal(await ask("get", "records", "a"), "one");
  });

  it("knows no record from an absent one, and none from one that was deleted", async () => {
    assert.equal(await ask("get", "absent"), "none");
    await send("put", "one", "deleted");
    await send("remove", "deleted");
    assert.equal(await ask("get", "deleted"), "none");
  });

  it("does not give a transaction what it has put itself", async () => {
    assert.equal(await send("put", "new", "unread"), "none");
    assert.equal(await send("put", "newer", "unread"), "new");
  });

  it("writes nothing of a transaction that is only evaluated", async () => {
    await ask("put", "one", "evaluated");
    assert.equal(await ask("get", "evaluated"), "none");
  });

  it("refuses to write an empty value, which Fabric cannot tell from none", async () => {
    await assert.rejects(send("put", "", "empty"), refusal("LEDGER_UNAVAILABLE", /would be empty/));
  });

  it("keeps a name's parts apart: no attribute can pass for two", async () => {
    await send("put", "two parts", "x", "y");
    assert.equal(await ask("get", "xy"), "none");
    await assert.rejects(ask("get", "x\u0000y"), refusal("MALFORMED", /zero character/));
    await assert.rejects(ask("get", ""), refusal("MALFORMED", /empty/));
    await assert.rejects(ask("scan", "x\u0000y"), refusal("MALFORMED", /zero character/));
  });

  it("scans the records under a name in key order, over as many messages as they take", async () => {
    for (const name of ["e", "b", "d", "a", "c"]) await send("put", name.toUpperCase(), "scanned", name);
    await send("put", "beside", "scanned2", "a");
    const names = ["a", "b", "c", "d", "e"];
    assert.equal(await ask("scan", "scanned"), names.map((name) => `scanned/${name}=${name.toUpperCase()}`).join("\n"));
  });

  it("scans nothing where there is nothing, and may stop at the first", async () => {
    assert.equal(await ask("scan", "nothing"), "");
    assert.equal(await ask("first", "nothing"), "none");
    await send("put", "first", "stopped", "a");
    await send("put", "second", "stopped", "b");
    await send("put", "third", "stopped", "c");
    assert.equal(await ask("first", "stopped"), "first");
  });

  it("reads a chaincode's definition from _lifecycle, and none of an unknown one", async () => {
    network.channel.define("auction", "AB12", 3, 1);
    const [version, sequence, policy] = (await ask("definition", "auction")).split(" ");
    assert.deepEqual([version, sequence], ["AB12", "3"]);
    assert.match(Buffer.from(policy ?? "", "hex").toString("latin1"), /Org1MSP.*Org2MSP/s);
    assert.equal(await ask("definition", "unknown"), "none");
  });

  it("gives channel, transaction, creator and the proposal's time", async () => {
    const earliest = Date.now();
    const answer = JSON.parse(await ask("context"));
    assert.equal(answer.channelId, "channel1");
    assert.match(answer.txId, /^[0-9a-f]{64}$/);
    assert.deepEqual(answer.creator, { mspId: "Org1MSP", isAdmin: true });
    assert.ok(answer.timestampMs >= earliest - 1 && answer.timestampMs <= Date.now());
  });

  it("passes every argument on, empty ones and other scripts' as well", async () => {
    const args = ["", "a b", "ü€𐍈", '"quoted"', "", "x".repeat(300_000)];
    assert.deepEqual(JSON.parse(await ask("echo", ...args)), args);
    assert.deepEqual(JSON.parse(await ask("echo")), []);
  });

  it("runs transactions at the same time, each over its own state and arguments", async () => {
    await send("put", "shared", "concurrent", "a");
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) => ask(index % 2 === 0 ? "echo" : "scan", "concurrent")),
    );
    assert.deepEqual(new Set(answers), new Set(['["concurrent"]', "concurrent/a=shared"]));
  });
});

describe("a role in a creator's certificate", () => {
  const isAdmin = async (mspId: string, role: "admin" | "client" | "peer", units?: readonly string[]) => {
    await using connection = await ledger.connect(await network.channel.organisation(mspId).issue(role, role, units));
    return JSON.parse((await connection.evaluate(chaincode, "context", [])).toString()).creator;
  };

  it("is admin by the organisational unit admin alone, for each organisation's identities", async () => {
    assert.deepEqual(await isAdmin("Org2MSP", "admin"), { mspId: "Org2MSP", isAdmin: true });
    assert.deepEqual(await isAdmin("Org1MSP", "client"), { mspId: "Org1MSP", isAdmin: false });
    assert.deepEqual(await isAdmin("Org1MSP", "peer"), { mspId: "Org1MSP", isAdmin: false });
  });

  it("is admin beside units that are no roles, and is not by a unit that only looks like it", async () => {
    assert.equal((await isAdmin("Org1MSP", "admin", ["department1", "admin"])).isAdmin, true);
    assert.equal((await isAdmin("Org1MSP", "admin", [])).isAdmin, false);
    assert.equal((await isAdmin("Org1MSP", "client", ["Admin"])).isAdmin, false);
    assert.equal((await isAdmin("Org1MSP", "client", ["admins"])).isAdmin, false);
    assert.equal((await isAdmin("Org1MSP", "client", ["x\\,OU=admin"])).isAdmin, false);
    assert.equal((await isAdmin("Org1MSP", "client", ["x\\0AOU=admin"])).isAdmin, false);
  });

  it("is none of a certificate that has two", async () => {
    assert.equal((await isAdmin("Org1MSP", "admin", ["admin", "client"])).isAdmin, false);
    assert.equal((await isAdmin("Org1MSP", "admin", ["admin", "admin"])).isAdmin, false);
  });
});

describe("a transaction that chaincode aborts", () => {
  it("comes back with its reason class and words, evaluated and submitted", async () => {
    await send("putOnce", "first", "once");
    const expected = refusal("ALREADY_SET", /^it is there: stop$/);
    await assert.rejects(ask("putOnce", "second", "once"), expected);
    await assert.rejects(send("putOnce", "second", "once"), expected);
    assert.equal(await ask("get", "once"), "first");
  });

  it("is MALFORMED of a name that the contract has not, and writes no log of its own into the answer", async () => {
    await assert.rejects(ask("unheardOf"), refusal("MALFORMED", /"unheardOf"/));
    await assert.rejects(ask("constructor"), refusal("MALFORMED"));
    await assert.rejects(ask("beforeTransaction"), refusal("MALFORMED"));
  });

  it("has no reason class where the fault is the chaincode's own", async () => {
    await assert.rejects(ask("fault"), refusal("LEDGER_UNAVAILABLE", /a fault of the chaincode's own/));
  });

  it("leaves the service able to go on", async () => {
    assert.deepEqual(JSON.parse(await ask("echo", "still here")), ["still here"]);
  });
});

describe("the hash of its channel, which chaincode is told", () => {
  const hash = "5a".repeat(32);

  it("is not there before, and only an admin tells it", async () => {
    await assert.rejects(ask("channelHash"), refusal("NOT_FOUND", /setChannelHash/));
    await using client = await ledger.connect(await network.channel.organisation("Org1MSP").issue("client"));
    await assert.rejects(client.submit(chaincode, "setChannelHash", [hash]), refusal("UNAUTHORIZED"));
  });

  it("is 64 lower-case hex digits, in one argument", async () => {
    for (const args of [[], [hash, hash], [hash.toUpperCase()], [hash.slice(1)], [`${hash}\n`], ["zz".repeat(32)]])
      await assert.rejects(send("setChannelHash", ...args), refusal("MALFORMED"));
  });

  it("is told once", async () => {
    await send("setChannelHash", hash);
    assert.equal(await ask("channelHash"), hash);
    await assert.rejects(send("setChannelHash", hash), refusal("ALREADY_SET"));
    await assert.rejects(send("setChannelHash", "5b".repeat(32)), refusal("ALREADY_SET"));
  });

  it("is endorsed by no service that has another pinned", async () => {
    const env = { STRONGROOM_CHANNEL_HASH: hash };
    await using pinned = await FabricNetwork.start({ mspIds: ["Org1MSP"], chaincode, folder: tinyChaincode, env });
    await using pinnedLedger = pinned.ledger();
    await using connection = await pinnedLedger.connect(await pinned.channel.organisation("Org1MSP").issue("admin"));
    await assert.rejects(
      connection.submit(chaincode, "setChannelHash", ["5b".repeat(32)]),
      refusal("WRONG_CONTEXT", /pinned/),
    );
    await connection.submit(chaincode, "setChannelHash", [hash]);
    assert.equal((await connection.evaluate(chaincode, "channelHash", [])).toString(), hash);
  });
});
