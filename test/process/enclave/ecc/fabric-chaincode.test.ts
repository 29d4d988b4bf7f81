import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { create } from "@bufbuild/protobuf";
import { hashesTransaction, readHashes } from "../../../../src/enclave/ecc/state-queries.ts";
import type { EnclaveErrorCode } from "../../../../src/enclave/errors.ts";
import { FabricLedger } from "../../../../src/enclave/ledger/fabric/fabric-ledger.ts";
import type { LedgerConnection } from "../../../../src/enclave/ledger/ledger.ts";
import { sha256 } from "../../../../src/enclave/ledger/low-s.ts";
import { Membership } from "../../../../src/enclave/ledger/membership.ts";
import { encodeArgument } from "../../../../src/enclave/messages/argument.ts";
import { ChaincodeKeyStateSchema } from "../../../../src/enclave/messages/generated/fpc/ercc_pb.ts";
import { appliedKey, commitHashOf } from "../../../../src/enclave/protocol/held-answer.ts";
import { ChaincodeProcess } from "../../../fabric/chaincode-process.ts";
import { TestChannel } from "../../../fabric/channel.ts";
import { GatewayService } from "../../../fabric/gateway-service.ts";
import type { TestIdentity } from "../../../fabric/organisation.ts";
import { relayTo } from "../../../fabric/relay.ts";
import { ask, BareEnclave, chaincodeId, channelId, readAnswer } from "../../../unit/enclave/chaincode/enclaves.ts";

const entry = join(import.meta.dirname, "../../../../src/enclave/ecc/service/main.ts");
const launcher = join(import.meta.dirname, "../../../../bin/ecc-service");
const mspIds = ["Org1MSP", "Org2MSP"] as const;
const stack = new AsyncDisposableStack();
let alice: TestIdentity;
let connection: LedgerConnection;
let mallory: LedgerConnection;
let channel: TestChannel;
let enclaves: readonly BareEnclave[];
let members: Membership;

before(async () => {
  const registry = join(import.meta.dirname, "../../../fabric/registry-chaincode");
  const [ecc, ercc] = [
    stack.use(await ChaincodeProcess.startEntry(entry, "auction_1.0:0123", "--name", chaincodeId)),
    stack.use(await ChaincodeProcess.start(registry, "ercc_1.0:0123")),
  ];
  channel = stack.use(await TestChannel.create(channelId, mspIds));
  channel.define("ercc", "1.0", 1);
  channel.define(chaincodeId, "AB".repeat(32), 1);
  for (const mspId of mspIds) {
    channel.install(mspId, "ercc", await ercc.connect("ercc"));
    channel.install(mspId, chaincodeId, await ecc.connect(chaincodeId));
  }
  const gateway = stack.use(await GatewayService.start(channel, "Org1MSP"));
  const ledger = stack.use(FabricLedger.open({ channelId, gateways: { Org1MSP: { address: gateway.address } } }));
  members = new Membership(mspIds.map((mspId) => ({ mspId, roots: [channel.organisation(mspId).root] })));
  alice = await channel.organisation("Org1MSP").issue("client", "alice");
  connection = stack.use(await ledger.connect(alice));
  mallory = stack.use(await ledger.connect(await channel.organisation("Org1MSP").issue("client", "mallory")));
  enclaves = await Promise.all(mspIds.map((mspId) => BareEnclave.make(mspId)));
  const keyState = encodeArgument(ChaincodeKeyStateSchema, create(ChaincodeKeyStateSchema, { active: 2n }));
  await tell(Buffer.from(keyState, "latin1").toString("base64"), "queryState", "namespaces/key_state", chaincodeId);
  for (const { id, credentials } of enclaves) {
    await tell(credentials, "queryEnclaveCredentials", chaincodeId, id);
    await tell("QUJD", "queryState", "namespaces/provisioned", chaincodeId, id);
    await tell("true", "canEndorse", chaincodeId, id);
  }
});
after(() => stack.disposeAsync());

const tell = (...args: string[]) => connection.submit("ercc", "tell", args);
const stored = async (key: string) => (await connection.evaluate(chaincodeId, "__stored", [key])).toString();
const refusal = (code: EnclaveErrorCode) => (error: Error & { code?: string }) => {
  assert.equal(error.code, code, error.message);
  return true;
};
/** As an operator starts it, whatever `node` is on the path. */
const launch = (args: readonly string[]) =>
  spawnSync(launcher, args, {
    encoding: "utf8",
    timeout: 60_000,
    env: { PATH: "/usr/bin:/bin", STRONGROOM_NODE: process.execPath },
  });
/** What enclaves answer to one request of alice's, over what the peers have stored. */
async function answers(words: readonly string[], by = enclaves): Promise<string[]> {
  const { signed } = ask(words, { by: alice });
  const value = await stored("auction/a");
  const state = new Map(value === "" ? [] : [["auction/a", Buffer.from(value, "base64")]]);
  return await Promise.all(by.map(async (one) => (await one.invoke(signed, state, { members })).toString("base64")));
}

describe("a private chaincode's part in Fabric's peers", () => {
  it("takes over what enclaves of enough organisations answered, and asks ERCC of them", async () => {
    assert.equal(await stored("auction/a"), "");
    const { result } = await connection.submit(chaincodeId, "__endorse", await answers(["create", "a"]));
    assert.match(result.toString(), /^[A-Za-z0-9+/]+=*$/);
    assert.notEqual(await stored("auction/a"), "");
  });

  it("tells the hashes of what it has, of the records of commits too", async () => {
    const { signed, txId } = ask(["create", "b"], { by: alice });
    const both = await Promise.all(enclaves.map((one) => one.invoke(signed, new Map(), { members })));
    await connection.submit(
      chaincodeId,
      "__endorse",
      both.map((answer) => answer.toString("base64")),
    );
    const { fpcRwSet } = readAnswer(both[0] ?? Buffer.alloc(0));
    assert.ok(fpcRwSet);
    const keys = ["auction/b", appliedKey(txId), "none"];
    const told = (await connection.evaluate(chaincodeId, hashesTransaction, keys)).toString();
    const value = Buffer.from(await stored("auction/b"), "base64");
    assert.deepEqual(readHashes(told, 3), [
      sha256(value),
      sha256(commitHashOf(signed.proposalBytes, fpcRwSet)),
      undefined,
    ]);
  });

  it("refuses answers of too few organisations, and those that were taken over already", async () => {
    const both = await answers(["submit", "a", "10"]);
    await assert.rejects(connection.submit(chaincodeId, "__endorse", both.slice(0, 1)), refusal("POLICY_DENIED"));
    await connection.submit(chaincodeId, "__endorse", both);
    await assert.rejects(connection.submit(chaincodeId, "__endorse", both), refusal("REPLAY"));
  });

  it("refuses answers to another client's request", async () => {
    const both = await answers(["submit", "a", "20"]);
    await assert.rejects(mallory.submit(chaincodeId, "__endorse", both), refusal("UNAUTHORIZED"));
  });

  it("takes nothing over for a client that called other chaincode, which hands its arguments on", async () => {
    for (const { mspId } of channel.organisations) channel.install(mspId, "relay", relayTo(chaincodeId));
    channel.define("relay", "1.0", 1);
    const both = await answers(["submit", "a", "25"]);
    await assert.rejects(connection.submit("relay", "__endorse", both), refusal("UNAUTHORIZED"));
    await connection.submit(chaincodeId, "__endorse", both);
  });

  it("passes on why ERCC refuses, and believes it that an enclave may not endorse", async () => {
    const stranger = await BareEnclave.make("Org2MSP");
    const [first] = enclaves;
    assert.ok(first);
    const mixed = await answers(["submit", "a", "30"], [first, stranger]);
    await assert.rejects(connection.submit(chaincodeId, "__endorse", mixed), refusal("NOT_FOUND"));
    await tell(stranger.credentials, "queryEnclaveCredentials", chaincodeId, stranger.id);
    await tell("QUJD", "queryState", "namespaces/provisioned", chaincodeId, stranger.id);
    await tell("false", "canEndorse", chaincodeId, stranger.id);
    await assert.rejects(connection.submit(chaincodeId, "__endorse", mixed), refusal("POLICY_DENIED"));
  });

  it("has no other transactions, and gives no record of its own", async () => {
    await assert.rejects(connection.evaluate(chaincodeId, "__invoke", ["request"]), refusal("NOT_FOUND"));
    await assert.rejects(connection.evaluate(chaincodeId, "", []), refusal("MALFORMED"));
    await assert.rejects(connection.submit(chaincodeId, "__endorse", []), refusal("MALFORMED"));
    await assert.rejects(connection.submit(chaincodeId, "__endorse", ["no message"]), refusal("MALFORMED"));
    for (const args of [[], [""], ["\u0000responses"], ["a", "b"]])
      await assert.rejects(connection.evaluate(chaincodeId, "__stored", args), refusal("MALFORMED"));
  });

  it("is not served to other machines without TLS and client certificates", () => {
    const args = ["--name", "auction", "--chaincode-address", "0.0.0.0:9999", "--chaincode-id", "auction:0123"];
    const { status, stderr } = launch(args);
    assert.equal(status, 2);
    assert.match(stderr, /SETTINGS_INVALID.*TLS with client certificates.*\necc-service: hint: .*cacert-file/);
  });

  it("is not started by words that are no options, nor without its name or address", () => {
    for (const [args, says] of [
      [["--help"], /error: SETTINGS_INVALID: Unknown option '--help'.*\necc-service: hint: .*--chaincode-address/],
      [["--chaincode-address", "127.0.0.1:0", "--chaincode-id", "auction:0123"], /error: SETTINGS_INVALID: .*--name/],
    ] as const) {
      const { status, stderr } = launch(args);
      assert.equal(status, 2);
      assert.match(stderr, says);
      assert.doesNotMatch(stderr, /^\s+at /m);
    }
  });
});
