import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cpSync, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { recordNames } from "../../../../src/enclave/ercc/records.ts";
import { compositeKey } from "../../../../src/enclave/ercc/registry-state.ts";
import { encodeArgument } from "../../../../src/enclave/messages/argument.ts";
import {
  SignedCCKeyRegistrationMessageSchema,
  SignedExportMessageSchema,
  SignedGenerationProposalMessageSchema,
} from "../../../../src/enclave/messages/generated/fpc/key_dist_pb.ts";
import { decodeStrict } from "../../../../src/enclave/messages/strict.ts";
import { Stub } from "../../../../src/enclave/stub/stub.ts";
import { long } from "../../../run-settings.ts";
import type { MemoryLedger } from "../../../unit/enclave/ercc/memory-ledger.ts";
import { chaincodeId, World } from "../../../unit/enclave/process/world.ts";
import { DrivenStub } from "./driven-stub.ts";
import { testEntry } from "./entries.ts";

/** The agent writes, syncs, renames and tells: between the first two, and after the third, a crash leaves the same. */
const stubStride = long ? 1 : 2;
/** More steps than any action has: a run that is not killed any more ends the enumeration. */
const mostSteps = 40;

describe("an enclave and its stub, killed after every step", () => {
  let world: World;
  /** Two registered enclaves without keys; then the first's keys registered; then an export from it to the second. */
  let registered: MemoryLedger;
  let provisioned: MemoryLedger;
  let exported: MemoryLedger;
  let receiverCredentials: Buffer;
  let exportMessage: Buffer;
  let folders = 0;

  const folderOf = (name: string) => join(world.folder, name);
  const copyOf = (name: string) => {
    folders += 1;
    const folder = folderOf(`copy-${folders}`);
    cpSync(folderOf(name), folder, { recursive: true });
    return folder;
  };
  const platformOf = (mspId: string) => ({ kind: "process", platform: world.platform(mspId) }) as const;
  const open = (folder: string, mspId: string, entry = testEntry(world, mspId)) =>
    Stub.open({ folder, tee: platformOf(mspId), exchange: world.exchange, entry });
  const registerKeys = (mspId: string, message: Buffer) => {
    const schema = SignedCCKeyRegistrationMessageSchema;
    return world.call(mspId, "registerCCKeys", chaincodeId, encodeArgument(schema, decodeStrict(schema, message)));
  };
  const ledgerEkHash = () => {
    const record = world.ledger.read(compositeKey(recordNames.chaincodeEk(chaincodeId)));
    return createHash("sha256")
      .update(record?.value ?? "")
      .digest("hex")
      .toUpperCase();
  };

  before(async () => {
    world = await World.start();
    const credentials: Buffer[] = [];
    for (const mspId of ["Org1MSP", "Org2MSP"]) {
      await using stub = await open(folderOf(mspId), mspId);
      credentials.push(await world.register(await stub.initEnclave(world.creation(mspId))));
    }
    registered = world.copyOfLedger();
    cpSync(folderOf("Org1MSP"), folderOf("sender"), { recursive: true });
    await using sender = await open(folderOf("sender"), "Org1MSP");
    await registerKeys("Org1MSP", await sender.generateCCKeys());
    provisioned = world.copyOfLedger();
    receiverCredentials = credentials[1] ?? Buffer.alloc(0);
    exportMessage = await sender.exportCCKeys(receiverCredentials);
    const text = encodeArgument(SignedExportMessageSchema, decodeStrict(SignedExportMessageSchema, exportMessage));
    await world.call("Org1MSP", "putKeyExport", chaincodeId, text);
    exported = world.copyOfLedger();
  });
  after(() => world[Symbol.dispose]());

  /** What an operator does who finds a stub after a crash: the step again, and where the keys are there, their message again. */
  const resume = async (stub: Stub, step: () => Promise<Buffer>): Promise<Buffer> => {
    try {
      return await step();
    } catch (error) {
      assert.equal((error as { code?: string }).code, "KEYS_EXIST");
      return stub.reEmitRegistration();
    }
  };

  /** After a crash: the step comes to its end, its message registers, and enclave and ledger have the same key. */
  const comesToItsEnd = async (folder: string, mspId: string, step: (stub: Stub) => Promise<Buffer>) => {
    await using stub = await open(folder, mspId);
    await registerKeys(mspId, await resume(stub, () => step(stub)));
    await stub.compareWithLedger();
    const { enclave } = await stub.status();
    assert.deepEqual(enclave?.generations, [{ number: 1, ekHash: ledgerEkHash(), registered: true }]);
  };

  const actions = {
    generateCCKeys: { mspId: "Org1MSP", ledger: () => registered, run: (stub: Stub) => stub.generateCCKeys() },
    importCCKeys: { mspId: "Org2MSP", ledger: () => exported, run: (stub: Stub) => stub.importCCKeys(exportMessage) },
  } as const;

  for (const action of ["generateCCKeys", "importCCKeys"] as const) {
    const { mspId, ledger, run } = actions[action];

    test(`come to one and the same end of ${action} wherever the enclave is killed`, async () => {
      const reached: string[] = [];
      for (let killAt = 1; killAt < mostSteps; killAt += 1) {
        world.ledger = ledger();
        world.ledger = world.copyOfLedger();
        const folder = copyOf(mspId);
        const stepsFile = join(folder, "steps");
        {
          await using stub = await open(folder, mspId, testEntry(world, mspId, { killAt, stepsFile }));
          const end = await run(stub).then(
            () => "done",
            (error: { code?: string }) => error.code,
          );
          if (end === "done") break;
          assert.equal(end, "ENCLAVE_ENDED");
          reached.push(readFileSync(stepsFile, "utf8").trim().split("\n").at(-1) ?? "");
        }
        await comesToItsEnd(folder, mspId, run);
      }
      const [first] = reached;
      assert.deepEqual(reached, [first, "sealed", "stored", "signed"]);
    });

    test(`come to one and the same end of ${action} wherever the stub is killed`, async () => {
      let kills = 0;
      for (let killAt = 1; killAt < mostSteps; killAt += stubStride) {
        world.ledger = ledger();
        world.ledger = world.copyOfLedger();
        const folder = copyOf(mspId);
        const entry = testEntry(world, mspId).href;
        const parts = action === "importCCKeys" ? [exportMessage.toString("base64")] : [];
        const { end, stub: driven } = await DrivenStub.run(world, { folder, entry, killAt, action, parts });
        if (end.end !== "killed") {
          assert.equal(end.end, "done");
          await driven.kill();
          break;
        }
        kills += 1;
        await driven.ended();
        await comesToItsEnd(folder, mspId, run);
      }
      assert.equal(kills, 4 / stubStride);
    });
  }

  test("come to an enclave that can be registered wherever either is killed during its creation", async () => {
    const { ccParams, hostParams, channelHash, trustedLedger } = world.creation("Org3MSP");
    const parts = [ccParams, hostParams, channelHash, trustedLedger].map((part) =>
      Buffer.from(part).toString("base64"),
    );
    const kills = { stub: 0, enclave: 0 };
    for (const killed of ["enclave", "stub"] as const)
      for (let killAt = 1; killAt < mostSteps; killAt += killed === "stub" ? stubStride : 1) {
        world.ledger = registered;
        world.ledger = world.copyOfLedger();
        folders += 1;
        const folder = folderOf(`new-${folders}`);
        const entry = testEntry(world, "Org3MSP", killed === "enclave" ? { killAt } : {}).href;
        const order = {
          folder,
          entry,
          action: "initEnclave",
          parts,
          ...(killed === "stub" ? { killAt } : {}),
        } as const;
        const { end, stub: driven } = await DrivenStub.run(world, order);
        await driven.kill();
        if (end.end === "done") break;
        kills[killed] += 1;
        await using stub = await open(folder, "Org3MSP");
        const credentials = await stub.initEnclave(world.creation("Org3MSP"));
        await world.register(credentials);
        assert.deepEqual(await stub.initEnclave(world.creation("Org3MSP")), credentials);
      }
    assert.deepEqual(kills, { stub: 12 / stubStride, enclave: 4 });
  });

  /** An enclave whose keys are registered is killed at each step of a call, which is then made again. @returns Names of the steps */
  const killedAtEach = async (
    run: (stub: Stub) => Promise<Buffer>,
    comesOut: (message: Buffer, stub: Stub) => Promise<void>,
  ) => {
    const reached: string[] = [];
    for (let killAt = 1; killAt < mostSteps; killAt += 1) {
      world.ledger = provisioned;
      world.ledger = world.copyOfLedger();
      const folder = copyOf("sender");
      const stepsFile = join(folder, "steps");
      {
        await using stub = await open(folder, "Org1MSP", testEntry(world, "Org1MSP", { killAt, stepsFile }));
        const end = await run(stub).then(
          () => "done",
          (error: { code?: string }) => error.code,
        );
        if (end === "done") break;
        assert.equal(end, "ENCLAVE_ENDED");
        reached.push(readFileSync(stepsFile, "utf8").trim().split("\n").at(-1) ?? "");
      }
      await using stub = await open(folder, "Org1MSP");
      await comesOut(await run(stub), stub);
    }
    return reached;
  };

  test("come to one proposal of the next generation wherever the enclave is killed", async () => {
    const reached = await killedAtEach(
      (stub) => stub.proposeGeneration(),
      async (message, stub) => {
        const schema = SignedGenerationProposalMessageSchema;
        const text = encodeArgument(schema, decodeStrict(schema, message));
        await world.call("Org1MSP", "proposeGeneration", chaincodeId, text);
        await registerKeys("Org1MSP", await stub.reEmitRegistration());
        await world.call("Org1MSP", "activateGeneration", chaincodeId, "2");
        await stub.compareWithLedger();
        const { enclave } = await stub.status();
        assert.deepEqual(
          enclave?.generations.map(({ registered }) => registered),
          [true, true],
        );
        assert.equal(enclave?.generations[1]?.ekHash, ledgerEkHash());
      },
    );
    // The first two: it is opened, and seals that its keys are registered.
    assert.deepEqual(reached, ["sealed", "stored", "generated", "sealed", "stored", "signed"]);
  });

  test("come to an export that the registry takes wherever the enclave is killed", async () => {
    const reached = await killedAtEach(
      (stub) => stub.exportCCKeys(receiverCredentials),
      async (message) => {
        const text = encodeArgument(SignedExportMessageSchema, decodeStrict(SignedExportMessageSchema, message));
        await world.call("Org1MSP", "putKeyExport", chaincodeId, text);
      },
    );
    assert.deepEqual(reached, ["sealed", "stored", "signed"]);
  });

  test("leave nothing of a crash behind once a file is written again", async () => {
    world.ledger = registered;
    const folder = copyOf("Org1MSP");
    cpSync(join(folder, "blob"), join(folder, "blob.tmp"));
    await using stub = await open(folder, "Org1MSP");
    await stub.generateCCKeys();
    assert.equal(existsSync(join(folder, "blob.tmp")), false);
  });
});
