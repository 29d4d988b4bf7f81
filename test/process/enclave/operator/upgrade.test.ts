import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cpSync, mkdtempSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { appendFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import { parsePolicy } from "../../../../src/enclave/ledger/policy-text.ts";
import { openInstallation } from "../../../../src/enclave/operator/installation.ts";
import { exportKeys, importKeys, initialise } from "../../../../src/enclave/operator/provisioning.ts";
import { issueShares } from "../../../../src/enclave/operator/recovery.ts";
import type { RegistryClient } from "../../../../src/enclave/operator/registry-client.ts";
import { chaincodeStatus } from "../../../../src/enclave/operator/status.ts";
import { hostedEnclaves } from "../../../../src/enclave/operator/trial-enclaves.ts";
import { TrialNetwork } from "../../../../src/enclave/operator/trial-network.ts";
import { upgradeChaincode } from "../../../../src/enclave/operator/trial-upgrade.ts";
import { repository } from "../../running-server.ts";
import { call, withEnclave } from "./trial-calls.ts";

const policyOf = (text: string) => parsePolicy(text).policy;

describe("the upgrade of an endorsement policy", () => {
  const folder = mkdtempSync(join(tmpdir(), "strongroom-upgrade-"));
  let network: TrialNetwork;
  let client: RegistryClient;

  before(async () => {
    network = await TrialNetwork.create({ folder: join(folder, "network"), organisations: 3, chaincodeId: "auction" });
    client = await network.client(network.organisation(1));
    for (const [number, name] of [
      [1, "main"],
      [2, "main"],
      [3, "main"],
      [2, "away"],
    ] as const)
      await withEnclave(network, number, name, async (own, stub) =>
        initialise(own, stub, await network.creation(own, network.organisation(number))),
      );
    const [second, away] = [await idOf(2, "main"), await idOf(2, "away")];
    await withEnclave(network, 1, "main", (own, stub) => exportKeys(own, stub, [second, away]));
    for (const name of ["main", "away"]) await withEnclave(network, 2, name, importKeys);
    assert.equal(await call(network, 1, "create", "lot"), "OK");
    assert.equal(await call(network, 2, "submit", "lot", "100"), "OK");
  });
  after(async () => {
    await network[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  const idOf = async (number: number, name: string): Promise<string> => {
    const { mspId } = network.organisation(number);
    const found = (await hostedEnclaves(network, client)).find((one) => one.mspId === mspId && one.name === name);
    assert.ok(found);
    return found.id;
  };
  const stored = async () =>
    (await chaincodeStatus(client)).enclaves.map(
      ({ mspId, state, sequence, generation }) => `${mspId} ${state} ${sequence} ${generation}`,
    );
  /** Ends the upgrade after the thing that it tells first. */
  const untilTold = (endorsement: Uint8Array) =>
    assert.rejects(
      upgradeChaincode(network, {
        endorsement,
        told: () => {
          throw new Error("ended here");
        },
      }),
      { message: "ended here" },
    );

  it("is refused where enclaves with the keys would not meet it, and changes nothing", async () => {
    const endorsement = policyOf("AND('Org1MSP.peer', 'Org2MSP.peer', 'Org3MSP.peer')");
    await assert.rejects(upgradeChaincode(network, { endorsement }), {
      code: "POLICY_DENIED",
      message: /only enclaves of Org1MSP, Org2MSP would hold the keys/,
    });
    assert.equal((await client.policy()).number, 1n);
  });

  it("goes on wherever it was ended, and the chaincode's state is served all the while", async () => {
    const endorsement = policyOf("AND('Org1MSP.peer', 'Org2MSP.peer')");
    const away = network.organisation(2).enclaveFolder("auction", "away");
    const ids = [await idOf(1, "main"), await idOf(2, "main")];
    renameSync(away, join(folder, "away"));
    await untilTold(endorsement);
    await untilTold(endorsement);
    assert.deepEqual(await sequences(), [2n, 1n, 1n], "one enclave has attested for the next sequence");
    assert.equal(await call(network, 1, "eval", "lot"), "AUCTION_STILL_OPEN");
    await upgradeChaincode(network, { endorsement });
    assert.equal(network.ledger.definition("auction")?.sequence, 2n);
    assert.deepEqual((await upgradeChaincode(network, { endorsement })).done, []);
    assert.deepEqual([await idOf(1, "main"), await idOf(2, "main")], ids, "the same enclaves");
    assert.equal(await call(network, 1, "close", "lot"), "OK");
    renameSync(join(folder, "away"), away);
  });

  const sequences = async () => (await hostedEnclaves(network, client)).map(({ sequence }) => sequence);

  it("puts out who has not attested for it, until it is called again", async () => {
    const away = await idOf(2, "away");
    assert.equal(await client.canEndorse(away), false);
    assert.ok((await stored()).includes("Org2MSP former 1 1"));
    const { done, sequence } = await upgradeChaincode(network, {});
    assert.deepEqual([done.length, sequence], [3, 2n]);
    assert.equal(await client.canEndorse(away), true);
  });

  it("keeps the keys from an organisation that does not endorse, and lets them go to it after the next", async () => {
    const third = await idOf(3, "main");
    const give = () => withEnclave(network, 1, "main", (own, stub) => exportKeys(own, stub, [third]));
    await assert.rejects(give, { code: "POLICY_DENIED" });
    const endorsement = policyOf("OutOf(2, 'Org1MSP.peer', 'Org2MSP.peer', 'Org3MSP.peer')");
    assert.equal((await upgradeChaincode(network, { endorsement })).sequence, 3n);
    await give();
    await withEnclave(network, 3, "main", importKeys);
    assert.deepEqual(
      (await stored()).sort(),
      ["Org1MSP", "Org2MSP", "Org2MSP", "Org3MSP"].map((mspId) => `${mspId} provisioned 3 1`),
    );
    assert.match(await call(network, 3, "eval", "lot"), /"amount":"100","mspId":"Org2MSP"/);
  });
});

describe("the upgrade to another release's code", () => {
  const folder = mkdtempSync(join(tmpdir(), "strongroom-release-"));
  const release = join(folder, "release");
  const here = join(folder, "network");
  const script = "test/process/enclave/operator/former-release.ts";
  after(() => rmSync(folder, { recursive: true, force: true }));

  const asOtherRelease = async (command: "make" | "recover") => {
    const { stdout } = await promisify(execFile)(process.execPath, [join(release, script), command, here]);
    return stdout.trim().split("\n");
  };

  before(async () => {
    for (const part of ["src", "package.json", dirname(script)])
      cpSync(join(repository, part), join(release, part), { recursive: true });
    symlinkSync(join(repository, "node_modules"), join(release, "node_modules"));
    await appendFile(join(release, "src/enclave/errors.ts"), "// Another release.\n");
    assert.deepEqual(await asOtherRelease("make"), ["OK", "OK"]);
  });

  it("is refused without the installation that can open what its enclaves sealed, which is told", async () => {
    await using network = await TrialNetwork.open(here);
    const { version } = network.ledger.definition("auction") ?? {};
    assert.notEqual(version, network.measurement);
    const usual = { version: network.measurement };
    const refused = { code: "SETTINGS_INVALID", hint: /--old-installation; where it is gone, --recover/ };
    await assert.rejects(upgradeChaincode(network, usual), { ...refused, message: /cannot open what they sealed/ });
    const own = await openInstallation(repository);
    await assert.rejects(upgradeChaincode(network, { ...usual, oldInstallation: own }), refused);
    await assert.rejects(upgradeChaincode(network, { ...usual, recover: true }), { code: "NOT_FOUND" });
    const client = await network.client(network.organisation(1));
    await assert.rejects(network.stub(client, network.organisation(1), "main"), {
      code: "UNSEAL_FAILED",
      message: new RegExp(`of version ${version}; .* cannot open what it sealed`),
      hint: /strongroom fpc chaincode upgrade auction --old-installation DIR/,
    });
    assert.equal((await client.policy()).number, 1n, "nothing was changed");
  });

  it("hands the keys on to enclaves of this one, wherever it was ended, and the former ones endorse no more", async () => {
    await using network = await TrialNetwork.open(here);
    const wish = { version: network.measurement, oldInstallation: await openInstallation(release) };
    const client = await network.client(network.organisation(1));
    const former = await client.provisioned();
    let left = 2;
    const told = () => {
      left -= 1;
      if (left === 0) throw new Error("ended here");
    };
    await assert.rejects(upgradeChaincode(network, { ...wish, told }), { message: "ended here" });
    const { done, sequence } = await upgradeChaincode(network, wish);
    assert.deepEqual([done.length, sequence], [3, 2n], done.join("\n"));
    for (const id of former) assert.equal(await client.canEndorse(id), false);
    assert.deepEqual((await client.policy()).allowedVersions, [network.measurement]);
    assert.equal(await call(network, 1, "close", "lot"), "OK");
    await withEnclave(network, 2, "main-v2", issueShares);
  });

  it("has the keys out of recovery shares, where the former installation is gone", async () => {
    await appendFile(join(release, "src/enclave/errors.ts"), "// And the next.\n");
    const [upgraded, answer] = await asOtherRelease("recover");
    assert.equal(upgraded, "3 0");
    assert.match(answer ?? "", /"amount":"70","mspId":"Org2MSP"/);
  });
});
