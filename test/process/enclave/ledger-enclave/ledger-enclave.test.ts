import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { recordNames } from "../../../../src/enclave/ercc/records.ts";
import { EmbeddedLedger } from "../../../../src/enclave/ledger/embedded/embedded-ledger.ts";
import type { LedgerConnection } from "../../../../src/enclave/ledger/ledger.ts";
import { LedgerEnclaveHost } from "../../../../src/enclave/ledger-enclave/host.ts";
import { createAttestationRoot } from "../../../../src/enclave/tee/attestation-root.ts";
import { ownCode } from "../../../../src/enclave/tee/measure-code.ts";
import { openProcessBackend } from "../../../../src/enclave/tee/process/backend.ts";
import { createProcessPlatform } from "../../../../src/enclave/tee/process/platform.ts";
import type { LedgerExchange } from "../../../../src/enclave/trusted-ledger/exchange.ts";
import { openTrustedLedger } from "../../../../src/enclave/trusted-ledger/open.ts";
import { ChannelWorld, chaincodeId, erccName } from "../../../contract/enclave/trusted-ledger/channel-world.ts";

const policy = recordNames.policy(chaincodeId);

suite("the process of a ledger enclave", () => {
  let world: ChannelWorld;
  before(async () => {
    world = await ChannelWorld.create("a ledger enclave");
  });
  after(async () => {
    await world[Symbol.asyncDispose]();
  });

  /** The host's answers, with sessions going to another ledger enclave. */
  function through(host: () => LedgerEnclaveHost): LedgerExchange {
    return async (question) =>
      question.kind === "session" ? [await host().session(question.message)] : await world.exchange(question);
  }

  function newHost(
    blocks: LedgerConnection["blocks"] = (from, signal) => world.connection.blocks(from, signal),
    platform = join(world.folder, "platform"),
  ): Promise<LedgerEnclaveHost> {
    return LedgerEnclaveHost.start({ connection: { blocks }, tee: { kind: "process", platform }, erccName });
  }

  /** The channel's blocks, of which the host keeps back those from `end` on. */
  function cutAt(end: bigint): LedgerConnection["blocks"] {
    return async function* (from, signal) {
      let number = from;
      for await (const block of world.connection.blocks(from, signal)) {
        if (number >= end) return;
        yield block;
        number += 1n;
      }
    };
  }

  test("killed at once, it follows the channel again, and its sessions go on", async () => {
    await using host = await newHost();
    const ledger = world.open(through(() => host));
    assert.ok(await ledger.record(policy));
    const { pid } = await host.status();
    process.kill(pid, "SIGKILL");
    const id = await world.register();
    assert.equal(await ledger.canEndorse(chaincodeId, world.enclaveId), true);
    assert.notEqual((await host.status()).pid, pid);
    const height = await world.submit("revokeEnclave", chaincodeId, id, "a test");
    await host.reached(height);
    assert.equal(await ledger.canEndorse(chaincodeId, id), false);
  });

  test("killed while it is asked, it answers none the less", async () => {
    await using host = await newHost();
    const ledger = world.open(through(() => host));
    assert.ok(await ledger.record(policy));
    const { pid } = await host.status();
    const asked = [1, 2, 3].map(() => ledger.canEndorse(chaincodeId, world.enclaveId));
    process.kill(pid, "SIGKILL");
    assert.deepEqual(await Promise.all(asked), [true, true, true]);
  });

  test("a host that keeps blocks back from a new process is found out by what was answered before", async () => {
    await using whole = await newHost();
    const height = await world.submit("revokeEnclave", chaincodeId, await world.register(), "a test");
    await whole.reached(height);
    await using cut = await newHost(cutAt(height));
    await cut.reached(height - 1n);
    let host = whole;
    const ledger = world.open(through(() => host));
    assert.ok(await ledger.record(policy));
    host = cut;
    await assert.rejects(ledger.record(policy), { code: "REPLAY" });
    // Who has seen nothing before believes it, unless it knows of a block that it demands.
    assert.ok(await world.open(through(() => cut)).record(policy));
    const demanding = world.open(
      through(() => cut),
      { seen: { block: height, records: [] } },
    );
    await assert.rejects(demanding.record(policy), { code: "LEDGER_UNAVAILABLE" });
  });

  test("a forged block is not taken, nor any after it", async () => {
    const forging: LedgerConnection["blocks"] = async function* (from, signal) {
      let number = from;
      for await (const block of world.connection.blocks(from, signal)) {
        const forged = Buffer.from(block);
        const at = Math.floor(forged.length / 2);
        if (number === 3n) forged.writeUInt8(forged.readUInt8(at) ^ 1, at);
        yield forged;
        number += 1n;
      }
    };
    await using host = await newHost(forging);
    await assert.rejects(host.reached(3n), { code: "MALFORMED" });
    const { block, failure } = await host.status();
    assert.deepEqual([block, failure?.code], [2n, "MALFORMED"]);
  });

  test("ended, it is gone and answers no more", async () => {
    const host = await newHost();
    const { pid } = await host.status();
    await host[Symbol.asyncDispose]();
    assert.throws(() => process.kill(pid, 0));
    await assert.rejects(host.session(Buffer.from("a message")), { code: "LEDGER_UNAVAILABLE" });
  });

  test("another measurement, and another platform's quotes, are refused by the chaincode's enclave", async () => {
    const parameters = { ...world.parameters, tlccMrenclave: await world.backend.measure() };
    const believing = openTrustedLedger(parameters, world.exchange, world.context());
    await assert.rejects(believing.record(policy), { code: "BAD_EVIDENCE" });

    const elsewhere = join(world.folder, "elsewhere");
    const root = await createAttestationRoot(join(world.folder, "other-root"), "another root");
    await createProcessPlatform(elsewhere, root, "another platform");
    await using host = await newHost(undefined, elsewhere);
    await assert.rejects(world.open(through(() => host)).record(policy), { code: "BAD_EVIDENCE" });
    await using tee = await openProcessBackend({ platform: elsewhere, code: ownCode("chaincode") });
    await assert.rejects(world.open(world.exchange, { tee }).record(policy), { code: "BAD_EVIDENCE" });
  });

  test("a requester of another measurement, or of a chaincode without a policy, is not heard", async () => {
    await using tee = await openProcessBackend({ platform: join(world.folder, "platform"), code: ownCode("ledger") });
    await assert.rejects(world.open(world.exchange, { tee }).record(policy), { code: "BAD_EVIDENCE" });
    const other = world.open(world.exchange, { chaincodeId: "other-chaincode" });
    await assert.rejects(other.record(policy), { code: "POLICY_DENIED" });
  });

  test("an enclave that is not registered yet is heard by its chaincode's measurement", async () => {
    assert.ok(await world.open(world.exchange, { enclaveId: "EF".repeat(32) }).record(policy));
  });

  test("a ledger enclave that follows another channel of the same name is not believed", async () => {
    const folder = mkdtempSync(join(tmpdir(), "other-channel-"));
    const { channelId } = world.ledger;
    await using other = await EmbeddedLedger.create({
      folder: join(folder, "ledger"),
      channelId,
      organisations: [{ mspId: "Org1MSP", peers: 1 }],
    });
    const connection = await other.connect(other.identity("Org1MSP", "admin"));
    await using host = await newHost((from, signal) => connection.blocks(from, signal));
    // It has no policy of the chaincode by which it could judge who asks, so it does not come to a session.
    await assert.rejects(world.open(through(() => host)).record(policy), { code: "POLICY_DENIED" });
    rmSync(folder, { recursive: true, force: true });
  });

  test("a platform or a first block that is none is said at its start", async () => {
    await assert.rejects(newHost(undefined, join(world.folder, "nowhere")), { code: "SETTINGS_INVALID" });
    const noise: LedgerConnection["blocks"] = async function* () {
      yield Buffer.from("noise");
    };
    await assert.rejects(newHost(noise), { code: "MALFORMED" });
  });
});
