import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { EnclaveError, type EnclaveErrorCode } from "../../../../src/enclave/errors.ts";
import type { Policy } from "../../../../src/enclave/messages/generated/fpc/policy_pb.ts";
import { type OwnUpgradeInput, upgradeOwn } from "../../../../src/enclave/operator/own-upgrade.ts";
import { initialise } from "../../../../src/enclave/operator/provisioning.ts";
import type { EnclaveAgent } from "../../../../src/enclave/stub/agent.ts";
import { endorsement } from "../ercc/endorsement.ts";
import type { MemoryLedger } from "../ercc/memory-ledger.ts";
import { chaincodeId, organisations, World } from "../process/world.ts";
import { WorldHosts } from "./world-hosts.ts";

const [first, second, third] = organisations;
const wished = endorsement([second, first]);

/** Of two organisations with an enclave each; the third has none. Each test begins where the first keys are there. */
describe("one organisation's part of an upgrade", () => {
  let world: World;
  let hosts: WorldHosts;
  let start: MemoryLedger;
  let opened: string[];
  let refusal: EnclaveErrorCode | undefined;

  before(async () => {
    world = await World.start();
    hosts = new WorldHosts(world);
    for (const name of [first, second])
      await initialise(hosts.client(name), await hosts.stub(name), world.creation(name));
    const successor = { version: world.measurement, sequence: 2n };
    await world.setPolicy({ successor });
    start = world.ledger;
  });
  beforeEach(() => {
    world.ledger = start;
    world.ledger = world.copyOfLedger();
    opened = [];
    refusal = undefined;
  });
  after(async () => {
    await hosts[Symbol.asyncDispose]();
    world[Symbol.dispose]();
  });

  const define = () =>
    world.ledger.definitions.set(chaincodeId, {
      version: world.measurement,
      sequence: 2n,
      validationParameter: wished,
    });
  const upgrade = (mspId: string, input: Partial<OwnUpgradeInput> = {}) =>
    upgradeOwn(
      {
        mspId,
        client: hosts.client(mspId),
        enclaves: () => ["main", "other"],
        enclaveNames: () => new Map(),
        agent: async (name) => {
          opened.push(name);
          if (refusal !== undefined) throw new EnclaveError(refusal, "not that one");
          return name === "main" ? shared(await hosts.stub(mspId)) : nothing();
        },
      },
      { endorsement: wished, hasHost: true, ...input },
    );
  const sequences = async () =>
    (await hosts.client(first).enclaves()).map(({ mspId, ccParams }) => `${mspId} ${ccParams.sequence}`).toSorted();
  const [unmoved, behind] = [
    [`${first} 1`, `${second} 1`],
    ['the own enclaves stay behind: the connection settings have no "host"'],
  ];

  it("is that enclaves at its host attest, and nobody else's", async () => {
    const { done, leftBehind, awaited } = await upgrade(first);
    assert.match(done.join(), /^enclave [0-9A-F]{64} \(main\) has attested for sequence 2$/);
    assert.deepEqual(leftBehind, []);
    assert.deepEqual(await sequences(), [`${first} 2`, `${second} 1`]);
    assert.deepEqual(
      awaited.map(({ kind }) => kind),
      ["enclaves", "definition"],
    );
  });

  it("tells of its enclaves that are behind where the settings do not say where they are", async () => {
    const { done, leftBehind, awaited } = await upgrade(first, { hasHost: false });
    assert.deepEqual([done, leftBehind, opened], [[], behind, []]);
    assert.equal(awaited[0]?.kind, "enclaves");
    assert.deepEqual(await sequences(), unmoved);
    define();
    assert.deepEqual((await upgrade(first, { hasHost: false })).leftBehind, behind);
  });

  it("tells of no enclaves where it has none that are behind", async () => {
    assert.deepEqual((await upgrade(third, { hasHost: false })).leftBehind, []);
    await upgrade(first);
    assert.deepEqual((await upgrade(first, { hasHost: false })).leftBehind, []);
  });

  it("goes on with others where one enclave cannot be seen to, and ends at what concerns all of them", async () => {
    for (const code of ["CONFLICT", "KEY_MANAGER_REFUSED", "UNSEAL_FAILED", "ENCLAVE_ENDED", "BAD_EVIDENCE"] as const) {
      refusal = code;
      opened = [];
      const { leftBehind } = await upgrade(first);
      assert.deepEqual(leftBehind, [
        `enclave main stays behind: ${code}: not that one`,
        `enclave other stays behind: ${code}: not that one`,
      ]);
      assert.deepEqual(opened, ["main", "other"]);
    }
    for (const code of ["LEDGER_UNAVAILABLE", "POLICY_DENIED", "SETTINGS_INVALID"] as const) {
      refusal = code;
      opened = [];
      await assert.rejects(upgrade(first), { code });
      assert.deepEqual(opened, ["main"]);
    }
  });

  it("begins with the document that is to be signed: what cannot be written changes nothing", async () => {
    define();
    const foreseen: Policy[] = [];
    const write = (document: Policy) => {
      foreseen.push(document);
      assert.deepEqual(opened, []);
      throw new Error("there is another one");
    };
    await assert.rejects(upgrade(first, { foreseen: write }), { message: "there is another one" });
    assert.deepEqual([opened, await sequences()], [[], unmoved]);
    const { awaited, done } = await upgrade(first, { foreseen: (document) => foreseen.push(document) });
    assert.equal(done.length, 1);
    const document = awaited.find((one) => one.kind === "policy")?.document;
    assert.deepEqual(foreseen, [document, document]);
    assert.deepEqual([document?.number, document?.successor], [3n, undefined]);
  });

  it("has no document before the definition is there, once the policy names it", async () => {
    await upgrade(first, { foreseen: () => assert.fail("there is none to be signed") });
    assert.deepEqual(await sequences(), [`${first} 2`, `${second} 1`]);
  });
});

/** The same agent, which outlives who asked for it. */
function shared(agent: EnclaveAgent): EnclaveAgent {
  return new Proxy(agent, {
    get: (target, name) => {
      if (name === Symbol.asyncDispose) return async () => undefined;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** Of an enclave that was not created. */
function nothing(): EnclaveAgent {
  return { created: false, [Symbol.asyncDispose]: async () => undefined } as unknown as EnclaveAgent;
}
