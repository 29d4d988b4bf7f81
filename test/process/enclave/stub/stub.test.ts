import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, readdirSync, readlinkSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import { EnclaveError } from "../../../../src/enclave/errors.ts";
import { CredentialsSchema } from "../../../../src/enclave/messages/generated/fpc/fpc_pb.ts";
import { decodeStrict } from "../../../../src/enclave/messages/strict.ts";
import { readCredentials } from "../../../../src/enclave/protocol/attested-data.ts";
import { EnclaveProcess } from "../../../../src/enclave/stub/enclave-process.ts";
import { Stub, type StubOptions } from "../../../../src/enclave/stub/stub.ts";
import { encryptIn } from "../../../unit/enclave/process/probe.ts";
import { World } from "../../../unit/enclave/process/world.ts";
import { isRunning } from "./driven-stub.ts";
import { brokenEntry, testEntry } from "./entries.ts";

function socketsOf(pid: number): number {
  const links = readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
  return links.filter((link) => link.startsWith("socket:")).length;
}

/** Whoever asks before the host has heard of the enclave's end is told that it ended: asks again then. */
async function heardOfTheEnd<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
  for (;;)
    try {
      return await ask();
    } catch (error) {
      assert.equal((error as EnclaveError).code, "ENCLAVE_ENDED");
      await wait(10);
    }
}

describe("the agent of an enclave", () => {
  let world: World;
  let stub: Stub;
  let options: StubOptions;

  before(async () => {
    world = await World.start();
    options = {
      folder: join(world.folder, "enclave"),
      tee: { kind: "process", platform: world.platform("Org1MSP") },
      exchange: (question) => world.exchange(question),
      entry: testEntry(world, "Org1MSP"),
    };
    stub = await Stub.open(options);
  });
  after(async () => {
    await stub[Symbol.asyncDispose]();
    world[Symbol.dispose]();
  });

  test("says before there is an enclave what would be measured, and that it does not protect from root", async () => {
    assert.deepEqual(await stub.status(), {
      tee: "process",
      protectsFromRoot: false,
      measurement: world.measurement,
      enclave: undefined,
    });
    assert.equal(stub.created, false);
  });

  test("has nothing to give before there is an enclave", async () => {
    assert.throws(() => stub.credentials(), { code: "NOT_FOUND" });
    for (const call of [() => stub.generateCCKeys(), () => stub.attestAgain(), () => stub.recover()])
      await assert.rejects(call(), { code: "NOT_FOUND" });
  });

  test("creates one enclave, of one set of parameters", async () => {
    await assert.rejects(stub.initEnclave(world.creation("Org1MSP", { version: "AB".repeat(32) })), {
      code: "WRONG_CONTEXT",
    });
    assert.equal(stub.created, false);
    const credentials = await stub.initEnclave(world.creation("Org1MSP"));
    assert.deepEqual(stub.credentials(), credentials);
    assert.deepEqual(await stub.initEnclave(world.creation("Org1MSP")), credentials);
    await assert.rejects(stub.initEnclave(world.creation("Org1MSP", { sequence: 2n })), { code: "CONFLICT" });
    await assert.rejects(stub.initEnclave({ ...world.creation("Org1MSP"), channelHash: Buffer.alloc(32) }), {
      code: "CONFLICT",
    });
  });

  test("keeps a second one out", async () => {
    await assert.rejects(Stub.open(options), { code: "CONFLICT" });
  });

  test("tells that a blob could not be stored, and the enclave has taken the step back", async () => {
    // A folder in the place of the temporary file.
    mkdirSync(join(options.folder, "blob.tmp"));
    await assert.rejects(stub.generateCCKeys(), { code: "STORE_FAILED" });
    rmdirSync(join(options.folder, "blob.tmp"));
    assert.deepEqual((await stub.status()).enclave?.generations, []);
    assert.ok((await stub.generateCCKeys()).length > 0);
  });

  test("starts the enclave again when it has ended, with all that it held", async () => {
    const { enclave } = await stub.status();
    const pid = await stub.pid();
    const underWay = stub.status();
    process.kill(pid, "SIGKILL");
    await underWay.catch((error: unknown) => assert.equal((error as EnclaveError).code, "ENCLAVE_ENDED"));
    while (isRunning(pid)) await wait(10);
    const again = await heardOfTheEnd(() =>
      Promise.all([stub.status(), stub.reEmitRegistration(), stub.status()] as const),
    );
    assert.deepEqual(again[0].enclave, enclave);
    assert.notEqual(await stub.pid(), pid);
  });

  test("has an enclave into which no signal opens a debugger", async () => {
    const pid = await stub.pid();
    const before = socketsOf(pid);
    process.kill(pid, "SIGUSR1");
    await wait(200);
    const stillThere = existsSync(`/proc/${pid}`) && (await stub.pid()) === pid;
    assert.ok(!stillThere || socketsOf(pid) === before);
    assert.equal((await stub.status()).enclave?.generations.length, 1);
  });

  test("attests again where the credentials of the creation were lost", async () => {
    const file = join(options.folder, "credentials");
    const kept = join(world.folder, "kept-credentials");
    cpSync(file, kept);
    rmSync(file);
    assert.throws(() => stub.credentials(), {
      code: "NOT_FOUND",
      message: /is there, its credentials are lost/,
      hint: /fpc enclave attest --sequence N/,
    });
    const again = readCredentials(decodeStrict(CredentialsSchema, await stub.attestAgain()), "not yet");
    assert.equal(again.enclaveId.text, (await stub.status()).enclave?.id);
    cpSync(kept, file);
  });

  test("cannot have another enclave's blob opened in its folder", async () => {
    const folder = join(world.folder, "other");
    {
      await using other = await Stub.open({ ...options, folder });
      await other.initEnclave(world.creation("Org1MSP"));
    }
    cpSync(join(options.folder, "blob"), join(folder, "blob"));
    await using other = await Stub.open({ ...options, folder });
    await assert.rejects(other.status(), { code: "UNSEAL_FAILED" });
    await assert.rejects(other.generateCCKeys(), { code: "UNSEAL_FAILED" });
  });

  test("has nothing opened while the ledger does not answer", async () => {
    const folder = join(world.folder, "copy");
    cpSync(options.folder, folder, { recursive: true });
    let isThere = false;
    await using copy = await Stub.open({
      ...options,
      folder,
      exchange: async (question) => {
        if (!isThere) throw new EnclaveError("LEDGER_UNAVAILABLE", "no peer answers");
        return world.exchange(question);
      },
    });
    await assert.rejects(copy.reEmitRegistration(), { code: "LEDGER_UNAVAILABLE", message: "no peer answers" });
    isThere = true;
    assert.ok((await copy.reEmitRegistration()).length > 0);
  });

  test("runs no chaincode where the enclave has none", async () => {
    await assert.rejects(
      stub.invoke(Buffer.from("proposal"), async () => []),
      { code: "NOT_FOUND" },
    );
  });

  test("takes a step of its admin while more calls of clients than it has places wait for the ledger", {
    timeout: 120_000,
  }, async () => {
    const folder = join(world.folder, "busy");
    cpSync(options.folder, folder, { recursive: true });
    const held: (() => void)[] = [];
    let isHeld = false;
    await using busy = await Stub.open({
      ...options,
      folder,
      entry: testEntry(world, "Org1MSP", { probes: true }),
      exchange: async (question) => {
        if (isHeld) await new Promise<void>((resolve) => held.push(resolve));
        return world.exchange(question);
      },
    });
    await busy.compareWithLedger();
    isHeld = true;
    const calls = Promise.allSettled(Array.from({ length: 600 }, () => encryptIn(busy, "a bid")));
    // Each asks the ledger more than one thing at once: the enclave has no place left for another client's question.
    while (held.length < 200) await wait(10);
    isHeld = false;
    assert.ok((await busy.reEmitRegistration()).length > 0);
    await busy.compareWithLedger();
    assert.ok(held.length < 255, `${held.length}`);
    for (const answer of held) answer();
    const refusals = new Set((await calls).map((each) => each.status === "rejected" && each.reason.code));
    assert.deepEqual([...refusals], ["NOT_PROVISIONED"], "the keys were never registered");
  });

  test("is of no more use once it is closed", async () => {
    const folder = join(world.folder, "closed");
    const closed = await Stub.open({ ...options, folder });
    await closed[Symbol.asyncDispose]();
    await assert.rejects(closed.status(), { code: "ENCLAVE_ENDED" });
  });
});

describe("the enclave of the product", () => {
  let world: World;
  before(async () => {
    world = await World.start();
  });
  after(() => world[Symbol.dispose]());

  const answer = () => Promise.reject(new EnclaveError("LEDGER_UNAVAILABLE", "no peer answers"));
  const settings = (value: unknown) => Buffer.from(JSON.stringify(value));

  test("measures its own code, on the platform that its host names", async () => {
    const enclave = new EnclaveProcess({ answer });
    await assert.rejects(enclave.call("status"), { code: "NOT_FOUND" });
    await assert.rejects(enclave.call("start", settings({ kind: "none" })), { code: "SETTINGS_INVALID" });
    await assert.rejects(enclave.call("start", settings({ kind: "process", platform: "/nowhere" })), {
      code: "SETTINGS_INVALID",
    });
    await enclave.call("start", settings({ kind: "process", platform: world.platform("Org1MSP") }));
    const [status] = await enclave.call("status");
    const { measurement } = JSON.parse(status?.toString() ?? "") as { measurement: string };
    assert.match(measurement, /^[0-9A-F]{64}$/);
    assert.notEqual(measurement, world.measurement);
    await enclave.end();
    assert.equal(enclave.alive, false);
    await assert.rejects(enclave.call("status"), { code: "ENCLAVE_ENDED" });
  });

  test("ends at an error of its own, and tells where but not what", async () => {
    const enclave = new EnclaveProcess({ answer, entry: brokenEntry(world) });
    await assert.rejects(enclave.call("start", settings("a secret")), (error: EnclaveError) => {
      assert.equal(error.code, "ENCLAVE_ENDED");
      assert.match(error.message, /TypeError at /);
      assert.doesNotMatch(error.message, /a secret/);
      return true;
    });
    while (enclave.alive) await wait(10);
  });
});
