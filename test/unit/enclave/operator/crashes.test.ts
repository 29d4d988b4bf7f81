import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { readRecord, recordNames } from "../../../../src/enclave/ercc/records.ts";
import { EnclaveError, type EnclaveErrorCode } from "../../../../src/enclave/errors.ts";
import { GenerationRecordSchema } from "../../../../src/enclave/messages/generated/fpc/key_dist_pb.ts";
import { exportKeys, giveWay, importKeys, initialise, ownId } from "../../../../src/enclave/operator/provisioning.ts";
import { issueShares, recoverKeys, releaseOwnShares } from "../../../../src/enclave/operator/recovery.ts";
import { activateRotation, proposeRotation } from "../../../../src/enclave/operator/rotation.ts";
import { long, seed } from "../../../run-settings.ts";
import type { MemoryLedger } from "../ercc/memory-ledger.ts";
import { rsaPair } from "../ercc/test-keys.ts";
import { chaincodeId, organisations, World } from "../process/world.ts";
import { WorldHosts } from "./world-hosts.ts";

/** What kill -9 at one point leaves: files and ledger. What processes held in memory is gone. */
interface Moment {
  readonly step: string;
  readonly hosts: WorldHosts;
  readonly ledger: MemoryLedger;
}

/** Of the points that leave the same, one is tried; without `--long`, this many of them. */
const triedInShort = 6;

function chosen(moments: readonly Moment[]): readonly Moment[] {
  if (long || moments.length <= triedInShort) return moments;
  const stride = moments.length / triedInShort;
  return Array.from({ length: triedInShort }, (_, index) => {
    const moment = moments[Math.floor(index * stride + (seed % Math.floor(stride)))];
    assert(moment);
    return moment;
  });
}

const [first, second, third] = organisations;

describe("keys of a chaincode, when every process is killed at one step", () => {
  let world: World;
  before(async () => {
    world = await World.start();
  });
  after(() => world[Symbol.dispose]());

  /** Runs it once, to its end, and notes what there is at every step. */
  const momentsOf = async (start: Moment, run: (hosts: WorldHosts) => Promise<void>) => {
    const moments = new Map<string, Moment>();
    world.ledger = start.ledger;
    world.ledger = world.copyOfLedger();
    const note = (step: string) => {
      const state = `${hosts.contents()} ${world.ledger.snapshot()}`;
      if (!moments.has(state)) moments.set(state, { step, hosts: hosts.copy(), ledger: world.copyOfLedger() });
    };
    const hosts: WorldHosts = start.hosts.copy(note);
    await run(hosts);
    note("the end");
    const end = { step: "the end", hosts: hosts.copy(), ledger: world.copyOfLedger() };
    await hosts[Symbol.asyncDispose]();
    return { moments: [...moments.values()], end };
  };

  /** From each moment, on hosts of their own. */
  const fromEach = async (moments: readonly Moment[], run: (hosts: WorldHosts, moment: Moment) => Promise<void>) => {
    for (const moment of chosen(moments)) {
      world.ledger = moment.ledger;
      world.ledger = world.copyOfLedger();
      await using hosts = moment.hosts.copy();
      await run(hosts, moment).catch((cause: unknown) => {
        throw new Error(`killed at "${moment.step}": ${cause instanceof Error ? cause.message : String(cause)}`, {
          cause,
        });
      });
    }
  };

  const generationOnLedger = async (number: bigint, ledger: MemoryLedger) => {
    const state = ledger.begin({ mspId: first, isAdmin: false }, Date.now());
    return readRecord(state, recordNames.generation(chaincodeId, number), GenerationRecordSchema);
  };

  /**
   * All of these hold the same generations, up to `active`; what the moment's ledger had accepted is what it has now; what was
   * written before is read by all, and so is what each of them writes.
   */
  const agree = async (
    hosts: WorldHosts,
    names: readonly string[],
    { ledger }: Moment,
    { active, written }: { readonly active: bigint; readonly written: readonly Buffer[] },
  ) => {
    assert.equal((await hosts.client(first).keyState())?.active, active);
    for (let number = 1n; number <= active; number += 1n) {
      const now = await generationOnLedger(number, world.ledger);
      const then = await generationOnLedger(number, ledger);
      assert(now);
      if (then !== undefined)
        assert.deepEqual(Buffer.from(now.chaincodeEk), Buffer.from(then.chaincodeEk), "a second EK was accepted");
      const ekHash = createHash("sha256").update(now.chaincodeEk).digest("hex").toUpperCase();
      for (const name of names) {
        const { enclave } = await (await hosts.stub(name)).status();
        const held = enclave?.generations.filter((one) => BigInt(one.number) === number);
        assert.deepEqual(held, [{ number: Number(number), ekHash, registered: true }], name);
        assert.equal(enclave?.generations.length, Number(active));
      }
    }
    const values = [...written];
    for (const name of names) values.push(await hosts.encrypt(name, "a value"));
    for (const value of values) for (const name of names) assert.equal(await hosts.decrypt(name, value), "a value");
  };

  /** Each a fresh host, created and, where the chaincode has keys, without them. */
  const initialiseAll = async (hosts: WorldHosts, names: readonly string[] = organisations) => {
    for (const name of names) await initialise(hosts.client(name), await hosts.stub(name), world.creation(name));
  };
  const importAt = async (hosts: WorldHosts, name: string) => importKeys(hosts.client(name), await hosts.stub(name));
  const refusedAs = (...codes: EnclaveErrorCode[]) => {
    return (error: unknown): undefined => {
      assert.ok(error instanceof EnclaveError && codes.includes(error.code), String(error));
    };
  };

  let empty: Moment;
  let provisioned: Moment;
  let written: Buffer[];

  const provision = async (hosts: WorldHosts) => {
    await initialiseAll(hosts);
    const client = hosts.client(first);
    const missing = async () => {
      const have = await client.provisioned();
      return (await client.enclaves()).some(({ enclaveId }) => !have.includes(enclaveId.text));
    };
    if (await missing()) await exportKeys(client, await hosts.stub(first));
    for (const name of [second, third]) await importAt(hosts, name);
  };

  it("are generated, exported and imported once, to one and the same end", async () => {
    empty = { step: "the start", hosts: new WorldHosts(world), ledger: world.copyOfLedger() };
    const { moments, end } = await momentsOf(empty, provision);
    for (const step of ["trusted-ledger", "credentials", "blob"])
      assert.ok(moments.some((moment) => moment.step === `${step} renamed` || moment.step === `${step} written`));
    assert.ok(moments.length > 30, `${moments.length} moments`);
    provisioned = end;
    await fromEach(moments, async (hosts, moment) => {
      await provision(hosts);
      await agree(hosts, organisations, moment, { active: 1n, written: [] });
    });
    world.ledger = provisioned.ledger;
    await using hosts = provisioned.hosts.copy();
    written = [await hosts.encrypt(first, "a value")];
  });

  const rotate = async (hosts: WorldHosts, by: string = first) => {
    await proposeRotation(hosts.client(by), await hosts.stub(by));
    for (const name of organisations) if (name !== by) await importAt(hosts, name);
    await activateRotation(hosts.client(by));
    for (const name of organisations) await (await hosts.stub(name)).compareWithLedger();
  };

  it("go on to one next generation, wherever proposal, a confirmation or the activation ends", async () => {
    const { moments } = await momentsOf(provisioned, (hosts) => rotate(hosts));
    assert.ok(moments.length > 14, moments.map(({ step }) => step).join());
    await fromEach(moments, async (hosts, moment) => {
      if ((await hosts.client(first).keyState())?.active === 1n) await rotate(hosts);
      for (const name of organisations) await (await hosts.stub(name)).compareWithLedger();
      await agree(hosts, organisations, moment, { active: 2n, written });
    });
  });

  it("are in force once, whoever activates them first, and also where the outcome is not told", async () => {
    world.ledger = provisioned.ledger;
    world.ledger = world.copyOfLedger();
    await using hosts = provisioned.hosts.copy();
    await assert.rejects(activateRotation(hosts.client(first)), {
      code: "NOT_FOUND",
      message: /generation 1 is in force$/,
    });
    await proposeRotation(hosts.client(first), await hosts.stub(first));
    for (const name of [second, third]) await importAt(hosts, name);
    const [client, other] = [hosts.client(first), hosts.client(second)];
    const lost = new EnclaveError("LEDGER_UNAVAILABLE", "the outcome is not known");
    const submit = async (isSent: boolean) => {
      if (isSent) await activateRotation(other);
      throw lost;
    };
    client.submit = () => submit(false);
    await assert.rejects(activateRotation(client), lost, "it was never sent");
    client.submit = () => submit(true);
    assert.equal(await activateRotation(client), 2n);
    await assert.rejects(activateRotation(other), { code: "NOT_FOUND", message: /generation 2 is in force$/ });
  });

  it("go on to one next generation when another enclave proposes it after the first one's end", async () => {
    const { moments } = await momentsOf(provisioned, async (hosts) => {
      await proposeRotation(hosts.client(first), await hosts.stub(first));
    });
    await fromEach(moments, async (hosts, moment) => {
      if ((await hosts.client(second).keyState())?.proposed === 0n) {
        await proposeRotation(hosts.client(second), await hosts.stub(second));
        await importAt(hosts, third);
        await activateRotation(hosts.client(second));
        // Where the first had made keys of its own, it drops them.
        await importAt(hosts, first);
      } else {
        await assert.rejects(proposeRotation(hosts.client(second), await hosts.stub(second)), { code: "CONFLICT" });
        await rotate(hosts);
      }
      for (const name of organisations) await (await hosts.stub(name)).compareWithLedger();
      await agree(hosts, organisations, moment, { active: 2n, written });
    });
  });

  it("are not those that a proposal took to an enclave that was then put out", async () => {
    world.ledger = provisioned.ledger;
    world.ledger = world.copyOfLedger();
    await using hosts = provisioned.hosts.copy();
    await proposeRotation(hosts.client(first), await hosts.stub(first));
    for (const name of [second, third]) await importAt(hosts, name);
    const out = (await (await hosts.stub(third)).status()).enclave;
    await hosts.client(third).submit("revokeEnclave", chaincodeId, ownId(await hosts.stub(third)), "lost");
    await proposeRotation(hosts.client(first), await hosts.stub(first));
    await importAt(hosts, second);
    await activateRotation(hosts.client(first));
    for (const name of [first, second]) await (await hosts.stub(name)).compareWithLedger();
    const moment = { ...provisioned, ledger: world.copyOfLedger() };
    await agree(hosts, [first, second], moment, { active: 2n, written });
    const { enclave } = await (await hosts.stub(first)).status();
    assert.equal(out?.generations.length, 2);
    assert.notEqual(enclave?.generations[1]?.ekHash, out?.generations[1]?.ekHash);
    const value = await hosts.encrypt(first, "a value");
    await assert.rejects(hosts.decrypt(third, value), { code: "BAD_CIPHERTEXT" });
  });

  it("are recovered in a new enclave, wherever the issue, a release or the recovery ends", async () => {
    const fresh = `${third} new`;
    const keysOf = (index: number) => ({
      policyKey: world.policyKey(organisations[index] ?? "").key,
      recoveryKey: rsaPair(index).privateKey,
    });
    const recover = async (hosts: WorldHosts) => {
      const client = hosts.client(first);
      const creation = world.creation(third);
      await initialise(hosts.client(fresh), await hosts.stub(fresh), creation);
      await issueShares(client, await hosts.stub(first), keysOf(0).recoveryKey);
      const receiver = ownId(await hosts.stub(fresh));
      for (const [index, mspId] of [first, second].entries())
        await releaseOwnShares(hosts.client(mspId), hosts.client(mspId), keysOf(index), receiver);
      await recoverKeys(hosts.client(fresh), await hosts.stub(fresh));
    };
    const { moments } = await momentsOf(provisioned, recover);
    assert.ok(moments.length > 10, moments.map(({ step }) => step).join());
    await fromEach(moments, async (hosts, moment) => {
      await recover(hosts);
      assert.equal(await hosts.client(first).recovery(1n, 2n), undefined, "shares were issued a second time");
      await agree(hosts, [first, fresh], moment, { active: 1n, written });
    });
  });

  it("that lost the race are dropped, and the chaincode's taken, wherever that ends", async () => {
    world.ledger = empty.ledger;
    world.ledger = world.copyOfLedger();
    const base = empty.hosts.copy();
    await initialiseAll(base, [first]);
    // It found the chaincode without keys, too, and comes later.
    const late = await base.stub(second);
    await late.initEnclave(world.creation(second));
    await late.generateCCKeys();
    await initialiseAll(base, [second]);
    const value = await base.encrypt(first, "a value");
    await base[Symbol.asyncDispose]();
    const lost: Moment = { step: "the loss", hosts: base.copy(), ledger: world.copyOfLedger() };

    const giveWayAndImport = async (hosts: WorldHosts) => {
      // Dropped already, or the chaincode's are there already.
      await giveWay(await hosts.stub(second)).catch(refusedAs("NOT_PROVISIONED", "KEYS_EXIST"));
      const client = hosts.client(first);
      const id = ownId(await hosts.stub(second));
      if (!(await client.isProvisioned(id))) await exportKeys(client, await hosts.stub(first), [id]);
      await importAt(hosts, second);
    };
    const { moments } = await momentsOf(lost, giveWayAndImport);
    assert.ok(moments.length > 7, moments.map(({ step }) => step).join());
    await fromEach(moments, async (hosts, moment) => {
      await giveWayAndImport(hosts);
      await agree(hosts, [first, second], moment, { active: 1n, written: [value] });
    });
  });
});
