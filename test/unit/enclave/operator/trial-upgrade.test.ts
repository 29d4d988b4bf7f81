import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { create } from "@bufbuild/protobuf";
import { formatPolicy, parsePolicy } from "../../../../src/enclave/ledger/policy-text.ts";
import { policyReference } from "../../../../src/enclave/ledger/signature-policy.ts";
import { type Policy, SuccessorSchema } from "../../../../src/enclave/messages/generated/fpc/policy_pb.ts";
import { openInstallation } from "../../../../src/enclave/operator/installation.ts";
import { bringIntoForce, nextPolicy } from "../../../../src/enclave/operator/policies.ts";
import type { RegistryClient } from "../../../../src/enclave/operator/registry-client.ts";
import { endorsingEnclaves } from "../../../../src/enclave/operator/trial-enclaves.ts";
import { TrialNetwork } from "../../../../src/enclave/operator/trial-network.ts";
import { upgradeChaincode } from "../../../../src/enclave/operator/trial-upgrade.ts";
import { measureCode, ownCode } from "../../../../src/enclave/tee/measure-code.ts";
import { repository } from "../../../process/running-server.ts";

const policyOf = (text: string) => parsePolicy(text).policy;
const all = policyOf("AND('Org1MSP.peer', 'Org2MSP.peer', 'Org3MSP.peer')");
const otherCode = "CC".repeat(32);

/** Of a network that has no enclaves yet, so that none of it starts a process. Each test goes on where the one before ended. */
describe("the upgrade of a chaincode", () => {
  const folder = mkdtempSync(join(tmpdir(), "strongroom-upgrade-"));
  let network: TrialNetwork;
  let client: RegistryClient;

  before(async () => {
    network = await TrialNetwork.create({ folder: join(folder, "network"), organisations: 3, chaincodeId: "auction" });
    client = await network.client(network.organisation(1));
  });
  after(async () => {
    await network[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  const definition = () => {
    const found = network.ledger.definition("auction");
    assert.ok(found);
    return found;
  };
  const by = (...numbers: number[]) => numbers.map((number) => network.organisation(number));
  const signers = (...numbers: number[]) => new Map(by(...numbers).map((one) => [one.mspId, one.keys().policyKey]));
  /** That it is refused, and leaves definition and policy as they were. */
  const unchanged = async (refusal: () => Promise<unknown>, code: string, message: RegExp) => {
    const before = [definition(), await client.policy()];
    await assert.rejects(refusal, { code, message });
    assert.deepEqual([definition(), await client.policy()], before);
  };

  it("is refused with fewer signatures than the policy's threshold", async () => {
    const upgrade =
      (...numbers: number[]) =>
      () =>
        upgradeChaincode(network, { endorsement: all, by: by(...numbers) });
    await unchanged(upgrade(1), "BAD_SIGNATURE", /signatures of 1 organisations, and needs 2/);
    await unchanged(upgrade(3), "BAD_SIGNATURE", /signatures of 1 organisations, and needs 2/);
    await unchanged(upgrade(), "SETTINGS_INVALID", /at least one organisation/);
  });

  it("is refused with an endorsement policy that names others, that no peers meet, or that cannot be judged", async () => {
    const upgrade = (endorsement: Uint8Array) => () => upgradeChaincode(network, { endorsement });
    const stranger = policyOf("OR('Org1MSP.peer', 'Org9MSP.peer')");
    await unchanged(upgrade(stranger), "SETTINGS_INVALID", /names Org9MSP, which the policy document does not/);
    await unchanged(upgrade(policyOf("'Org1MSP.admin'")), "SETTINGS_INVALID", /no peers of the organisations meet/);
    const twice = policyOf("AND('Org1MSP.peer', 'Org1MSP.member')");
    await unchanged(upgrade(twice), "SETTINGS_INVALID", /no peers of the organisations meet/);
    const reference = policyReference("/Channel/Application/Endorsement");
    await unchanged(upgrade(reference), "POLICY_DENIED", /one of the channel's configuration/);
  });

  it("is refused to code that this installation does not run", () =>
    unchanged(
      () => upgradeChaincode(network, { version: otherCode }),
      "SETTINGS_INVALID",
      /is for enclaves of version C+, and this installation runs those of/,
    ));

  it("has a policy that follows the one in force: another hash, a number left out or an older one is refused", async () => {
    const successor = create(SuccessorSchema, { version: network.measurement, sequence: 2n });
    const { allowedVersions } = await client.policy();
    const attempt = async (change: (policy: Policy) => void) => {
      const next = nextPolicy(await client.policy(), { allowedVersions, successor });
      change(next);
      await bringIntoForce(client, next, signers(1, 2, 3));
    };
    const flipped = (policy: Policy) => policy.previousPolicyHash.fill((policy.previousPolicyHash[0] ?? 0) ^ 1, 0, 1);
    await unchanged(() => attempt(flipped), "WRONG_CONTEXT", /follows another one than that in force/);
    const skipped = (policy: Policy) => {
      policy.number = 3n;
    };
    await unchanged(() => attempt(skipped), "CONFLICT", /does not follow 1/);
    const again = (policy: Policy) => {
      policy.number = 1n;
      policy.previousPolicyHash = new Uint8Array();
    };
    await unchanged(() => attempt(again), "REPLAY", /not newer/);
    const signedByOthers = new Map([...signers(1), ["Org2MSP", network.organisation(3).keys().policyKey] as const]);
    const next = nextPolicy(await client.policy(), { allowedVersions, successor });
    await unchanged(
      () => bringIntoForce(client, next, signedByOthers),
      "BAD_SIGNATURE",
      /of Org2MSP .*does not verify/,
    );
  });

  it("has a definition of the next sequence, which a majority of the organisations approves alike", async () => {
    const { version } = definition();
    const define = (sequence: bigint, policy: Uint8Array, ...approvedBy: string[]) => {
      return () => network.ledger.define("auction", { version, sequence, policy }, approvedBy);
    };
    await unchanged(define(3n, all, "Org1MSP", "Org2MSP"), "CONFLICT", /has sequence 2, not 3/);
    await unchanged(define(1n, all, "Org1MSP", "Org2MSP"), "CONFLICT", /has sequence 2, not 1/);
    await unchanged(define(2n, all, "Org1MSP"), "POLICY_DENIED", /1 of 3 organisations have approved/);
    await unchanged(define(2n, policyOf("'Org2MSP.peer'"), "Org2MSP"), "POLICY_DENIED", /1 of 3 organisations/);
  });

  it("goes on wherever it was ended", async () => {
    const policyText = "OutOf(2, 'Org1MSP.peer', 'Org3MSP.peer')";
    const wish = { endorsement: policyOf(policyText) };
    const stopped = { message: "stopped here" };
    const told: string[] = [];
    const attempt = () =>
      upgradeChaincode(network, {
        ...wish,
        told: (what) => {
          told.push(what);
          throw new Error("stopped here");
        },
      });
    await assert.rejects(attempt, stopped);
    assert.equal((await client.policy()).successor?.sequence, 2n);
    assert.equal(definition().sequence, 1n);
    await unchanged(() => upgradeChaincode(network, {}), "CONFLICT", /an upgrade to it was begun/);
    await assert.rejects(attempt, stopped);
    assert.equal(definition().sequence, 2n);
    assert.notEqual((await client.policy()).successor, undefined);
    await assert.rejects(attempt, stopped);
    assert.deepEqual(
      told.map((what) => what.split(" ").slice(0, 2).join(" ")),
      ["policy 2", "definition 2", "policy 3"],
    );
    const { done, sequence, endorsement } = await upgradeChaincode(network, wish);
    assert.deepEqual([done, sequence, formatPolicy(endorsement)], [[], 2n, "AND('Org1MSP.peer', 'Org3MSP.peer')"]);
    const { number, successor, allowedVersions } = await client.policy();
    assert.deepEqual([number, successor, allowedVersions], [3n, undefined, [network.measurement]]);
  });

  it("is enough by as many organisations as the threshold", async () => {
    const { done } = await upgradeChaincode(network, { endorsement: all, by: by(3, 2) });
    assert.match(done.join("\n"), /approved by Org3MSP, Org2MSP$/m);
    assert.equal(definition().sequence, 3n);
  });

  it("leaves installations of other code with a plain word of what to do", async () => {
    assert.ok(network.mismatch === undefined, String(network.mismatch));
    await network.ledger.define("auction", { version: otherCode, sequence: 4n, policy: all });
    const plain = {
      code: "POLICY_DENIED",
      message: /is defined for enclaves of version C+, and this installation's are/,
      hint: /strongroom fpc chaincode upgrade auction --old-installation DIR/,
    };
    assert.match(String(network.mismatch), plain.message);
    await assert.rejects(network.creation(client, network.organisation(1)), plain);
    await assert.rejects(endorsingEnclaves(network, client), plain);
    await unchanged(() => upgradeChaincode(network, { endorsement: all }), "SETTINGS_INVALID", /runs those of/);
    await upgradeChaincode(network, { version: network.measurement });
    assert.equal(network.mismatch, undefined);
    await network.creation(client, network.organisation(1));
  });
});

describe("an installation", () => {
  it("is measured as it measures itself", async () => {
    const { measurement, entry } = await openInstallation(repository);
    assert.equal(measurement, await measureCode(ownCode()));
    assert.match(entry.pathname, /src\/enclave\/process\/main\.ts$/);
  });

  it("is refused where there is none", async () => {
    for (const path of ["/nowhere", join(repository, "docs"), join(repository, "src")])
      await assert.rejects(openInstallation(path), { code: "SETTINGS_INVALID", hint: /bin and src/ });
  });
});
