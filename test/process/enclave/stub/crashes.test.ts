import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cpSync, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { recordNames } from "../../../../src/enclave/ercc/records.ts";
import { compositeKey } from "../../../../src/enclave/ercc/registry-state.ts";
import { EnclaveError } from "../../../../src/enclave/errors.ts";
import {
  exportKeys,
  generate,
  giveWay,
  importKeys,
  initialise,
  ownId,
} from "../../../../src/enclave/operator/provisioning.ts";
import { issueShares, recoverKeys, releaseOwnShares } from "../../../../src/enclave/operator/recovery.ts";
import { proposeRotation } from "../../../../src/enclave/operator/rotation.ts";
import { Stub } from "../../../../src/enclave/stub/stub.ts";
import { long, seed } from "../../../run-settings.ts";
import type { MemoryLedger } from "../../../unit/enclave/ercc/memory-ledger.ts";
import { rsaPair } from "../../../unit/enclave/ercc/test-keys.ts";
import { WorldHosts } from "../../../unit/enclave/operator/world-hosts.ts";
import { organisations, World } from "../../../unit/enclave/process/world.ts";
import { type DrivenAction, runAction } from "./driven-actions.ts";
import { DrivenStub } from "./driven-stub.ts";
import { testEntry } from "./entries.ts";

const [first, second] = organisations;

/** Of each action: at which host it runs, the enclave's steps in order, how many steps the stub's files take, and how it is resumed. */
interface Case {
  readonly host: string;
  readonly enclaveSteps: readonly string[];
  /** Four for each file: the agent writes, syncs, renames and tells. */
  readonly stubSteps: number;
  readonly before: () => Moment;
  readonly parts: () => readonly Buffer[];
  readonly resume: (hosts: WorldHosts) => Promise<void>;
  /** Numbers of the generations that the enclave holds at the end. */
  readonly held: readonly number[];
}

interface Moment {
  readonly hosts: WorldHosts;
  readonly ledger: MemoryLedger;
}

interface Round {
  readonly action: DrivenAction;
  readonly killed: "enclave" | "stub";
  /** From 1. */
  readonly killAt: number;
}

/** Rounds that are run without `--long`, of some seventy. */
const roundsInShort = 6;

describe("an enclave and its stub, killed by kill -9", () => {
  let world: World;
  const moments: Record<string, Moment> = {};
  let credentials: Buffer;
  let exported: Buffer;
  let exportedNext: Buffer;

  const moment = (name: string): Moment => {
    const found = moments[name];
    assert(found, name);
    return found;
  };
  const returnTo = ({ hosts, ledger }: Moment): WorldHosts => {
    world.ledger = ledger;
    world.ledger = world.copyOfLedger();
    return hosts.copy();
  };

  before(async () => {
    world = await World.start();
    /** Goes on from a moment, in this process and undisturbed. */
    const then = async (name: string, from: string | undefined, run: (hosts: WorldHosts) => Promise<unknown>) => {
      const hosts = from === undefined ? new WorldHosts(world) : returnTo(moment(from));
      await run(hosts);
      await hosts[Symbol.asyncDispose]();
      moments[name] = { hosts, ledger: world.copyOfLedger() };
    };
    const at = async (hosts: WorldHosts, host: string) => [hosts.client(host), await hosts.stub(host)] as const;

    await then("empty", undefined, async () => undefined);
    // Registered, without keys: initialise would make them.
    await then("registered", "empty", async (hosts) => {
      for (const host of [first, second])
        await world.register(await (await hosts.stub(host)).initEnclave(world.creation(host)));
    });
    await then("provisioned", "registered", async (hosts) => generate(...(await at(hosts, first))));
    await then("announced", "provisioned", async (hosts) => {
      const ids = [ownId(await hosts.stub(first)), ownId(await hosts.stub(second))];
      await hosts.client(first).submit("announceExport", hosts.client(first).chaincodeId, ...ids, "1");
    });
    await then("exported", "provisioned", async (hosts) => {
      await exportKeys(...(await at(hosts, first)));
      exported = await hosts.client(first).keyExport(ownId(await hosts.stub(second)));
      credentials = (await hosts.client(first).requireEnclave(ownId(await hosts.stub(second)))).credentials;
    });
    await then("both", "exported", async (hosts) => importKeys(...(await at(hosts, second))));
    await then("proposed", "both", async (hosts) => {
      await proposeRotation(...(await at(hosts, first)));
      exportedNext = await hosts.client(first).keyExport(ownId(await hosts.stub(second)));
    });
    await then("released", "provisioned", async (hosts) => {
      await issueShares(...(await at(hosts, first)));
      const receiver = ownId(await hosts.stub(second));
      for (const [index, mspId] of [first, second].entries()) {
        const keys = { policyKey: world.policyKey(mspId).key, recoveryKey: rsaPair(index).privateKey };
        const client = hosts.client(mspId);
        await releaseOwnShares(client, client, keys, receiver);
      }
    });
    await then("lost", "registered", async (hosts) => {
      await (await hosts.stub(second)).generateCCKeys();
      await generate(...(await at(hosts, first)));
    });
  });
  after(() => world[Symbol.dispose]());

  /** Opened, and what is new on the ledger is noted. */
  const noted = ["sealed", "stored"];
  const cases: Readonly<Record<DrivenAction, Case>> = {
    initEnclave: {
      host: first,
      enclaveSteps: ["generated", "credentials stored", "sealed", "stored"],
      stubSteps: 12,
      before: () => moment("empty"),
      parts: () => {
        const { ccParams, hostParams, channelHash, trustedLedger } = world.creation(first);
        return [ccParams, hostParams, channelHash, trustedLedger].map((part) => Buffer.from(part));
      },
      resume: async (hosts) => {
        const stub = await hosts.stub(first);
        await initialise(hosts.client(first), stub, world.creation(first));
        assert.deepEqual(await stub.initEnclave(world.creation(first)), stub.credentials());
      },
      held: [1],
    },
    generateCCKeys: {
      host: first,
      enclaveSteps: ["generated", "sealed", "stored", "signed"],
      stubSteps: 4,
      before: () => moment("registered"),
      parts: () => [],
      resume: async (hosts) => generate(hosts.client(first), await hosts.stub(first)),
      held: [1],
    },
    exportCCKeys: {
      host: first,
      // And what was seen of the ledger for it is sealed.
      enclaveSteps: ["signed", "sealed", "stored"],
      stubSteps: 4,
      before: () => moment("announced"),
      parts: () => [credentials],
      resume: async (hosts) => {
        await exportKeys(hosts.client(first), await hosts.stub(first));
      },
      held: [1],
    },
    importCCKeys: {
      host: second,
      enclaveSteps: [...noted, "opened", "sealed", "stored", "signed"],
      stubSteps: 8,
      before: () => moment("exported"),
      parts: () => [exported],
      resume: async (hosts) => importKeys(hosts.client(second), await hosts.stub(second)),
      held: [1],
    },
    proposeGeneration: {
      host: first,
      enclaveSteps: ["generated", "sealed", "stored", "signed"],
      stubSteps: 4,
      before: () => moment("both"),
      parts: () => [],
      resume: async (hosts) => {
        await proposeRotation(hosts.client(first), await hosts.stub(first));
        await importKeys(hosts.client(second), await hosts.stub(second));
        await hosts.client(first).submit("activateGeneration", "auction", "2");
        await (await hosts.stub(first)).compareWithLedger();
      },
      held: [1, 2],
    },
    confirmGeneration: {
      host: second,
      enclaveSteps: ["opened", "sealed", "stored", "signed"],
      stubSteps: 4,
      before: () => moment("proposed"),
      parts: () => [exportedNext],
      resume: async (hosts) => {
        await importKeys(hosts.client(second), await hosts.stub(second));
        await hosts.client(second).submit("activateGeneration", "auction", "2");
        await (await hosts.stub(second)).compareWithLedger();
      },
      held: [1, 2],
    },
    recover: {
      host: second,
      enclaveSteps: [...noted, "opened", "sealed", "stored", "signed"],
      stubSteps: 8,
      before: () => moment("released"),
      parts: () => [],
      resume: async (hosts) => recoverKeys(hosts.client(second), await hosts.stub(second)),
      held: [1],
    },
    discardNeverRegisteredKeys: {
      host: second,
      enclaveSteps: [...noted, ...noted],
      stubSteps: 8,
      before: () => moment("lost"),
      parts: () => [],
      resume: async (hosts) => {
        await giveWay(await hosts.stub(second)).catch((error: unknown) => {
          assert.ok(error instanceof EnclaveError && error.code === "NOT_PROVISIONED", String(error));
        });
        await exportKeys(hosts.client(first), await hosts.stub(first));
        await importKeys(hosts.client(second), await hosts.stub(second));
      },
      held: [1],
    },
  };

  const ledgerEkHash = () => {
    const record = world.ledger.read(compositeKey(recordNames.chaincodeEk("auction")));
    return createHash("sha256")
      .update(record?.value ?? "")
      .digest("hex")
      .toUpperCase();
  };

  /** @returns The step at which it ended; undefined where it came to its end */
  const killedAt = async (folder: string, { action, killed, killAt }: Round): Promise<string | undefined> => {
    const { host, parts } = cases[action];
    const at = join(folder, host);
    if (killed === "stub") {
      const entry = testEntry(world, host).href;
      const order = { folder: at, entry, killAt, action, parts: parts().map((part) => part.toString("base64")) };
      const { end, stub } = await DrivenStub.run(world, order);
      if (end.end === "killed") await stub.ended();
      else await stub.kill();
      assert.notEqual(end.end, "refused", JSON.stringify(end));
      return end.end === "killed" ? `step ${killAt}` : undefined;
    }
    const stepsFile = join(world.folder, `steps-${folder.split("/").at(-1)}`);
    const tee = { kind: "process", platform: world.platform(host) } as const;
    const entry = testEntry(world, host, { killAt, stepsFile });
    await using stub = await Stub.open({ folder: at, tee, exchange: world.exchange, entry });
    const end = await runAction(stub, action, parts()).then(
      () => "done",
      (error: { code?: string }) => error.code,
    );
    if (end === "done") return undefined;
    assert.equal(end, "ENCLAVE_ENDED");
    return readFileSync(stepsFile, "utf8").trim().split("\n").at(-1);
  };

  const runRound = async (round: Round): Promise<string | undefined> => {
    const { host, before: beforeIt, resume, held } = cases[round.action];
    const { folder } = returnTo(beforeIt());
    const step = await killedAt(folder, round);
    if (step === undefined) return undefined;
    await using hosts = new WorldHosts(world, undefined, folder);
    await resume(hosts);
    const { enclave } = await (await hosts.stub(host)).status();
    assert.deepEqual(
      enclave?.generations.map(({ number }) => number),
      held,
    );
    assert.ok(enclave.generations.every(({ registered }) => registered));
    assert.equal(enclave.generations.at(-1)?.ekHash, ledgerEkHash());
    assert.equal(await hosts.decrypt(host, await hosts.encrypt(host, "a value")), "a value");
    return step;
  };

  const rounds: readonly Round[] = (Object.keys(cases) as DrivenAction[]).flatMap((action) => {
    const { enclaveSteps, stubSteps } = cases[action];
    const upTo = (count: number, killed: Round["killed"]) =>
      Array.from({ length: count }, (_, index) => ({ action, killed, killAt: index + 1 }));
    // One more of each: it comes to its end, so no step is missing from the list.
    return [...upTo(enclaveSteps.length + 1, "enclave"), ...upTo(stubSteps + 1, "stub")];
  });
  const stride = long ? 1 : Math.floor(rounds.length / roundsInShort);
  const tried = rounds.filter((_, index) => index % stride === (long ? 0 : seed % stride));

  for (const round of tried)
    test(`come to the same end of ${round.action} when the ${round.killed} is killed at its step ${round.killAt}`, async () => {
      const { enclaveSteps, stubSteps } = cases[round.action];
      const step = await runRound(round);
      if (round.killed === "enclave") assert.equal(step, enclaveSteps[round.killAt - 1]);
      else assert.equal(step, round.killAt > stubSteps ? undefined : `step ${round.killAt}`);
    });

  test("leave nothing of a crash behind once a file is written again", async () => {
    const hosts = returnTo(moment("registered"));
    const file = (name: string) => join(hosts.folder, first, name);
    cpSync(file("blob"), file("blob.tmp"));
    await (await hosts.stub(first)).generateCCKeys();
    assert.equal(existsSync(file("blob.tmp")), false);
    await hosts[Symbol.asyncDispose]();
  });
});
