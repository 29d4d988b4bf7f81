import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import { create } from "@bufbuild/protobuf";
import { recordNames, writeRecord } from "../../../../src/enclave/ercc/records.ts";
import { EnclaveError } from "../../../../src/enclave/errors.ts";
import { packAny } from "../../../../src/enclave/messages/any.ts";
import {
  RecoveryMessageSchema,
  SignedRecoveryMessageSchema,
} from "../../../../src/enclave/messages/generated/fpc/key_dist_pb.ts";
import { decodeStrict } from "../../../../src/enclave/messages/strict.ts";
import { exportKeys, importKeys, initialise, ownId } from "../../../../src/enclave/operator/provisioning.ts";
import { issueShares, recoverKeys, releaseOwnShares } from "../../../../src/enclave/operator/recovery.ts";
import { issuedShares, issueStandings } from "../../../../src/enclave/operator/recovery-issues.ts";
import type { RegistryView } from "../../../../src/enclave/operator/registry-view.ts";
import { readRecovery } from "../../../../src/enclave/protocol/recovery-form.ts";
import { rsaPair } from "../ercc/test-keys.ts";
import { falseShares } from "../process/false-shares.ts";
import { chaincodeId, organisations, World } from "../process/world.ts";
import { WorldHosts } from "./world-hosts.ts";

const [first, second, third] = organisations;

describe("recovery shares, as organisations issue, verify and release them", () => {
  let world: World;
  /** As every test begins with them. */
  let provisioned: WorldHosts;
  let goBack: () => void;
  let hosts: WorldHosts;

  before(async () => {
    world = await World.start();
    provisioned = new WorldHosts(world);
    for (const name of organisations)
      await initialise(provisioned.client(name), await provisioned.stub(name), world.creation(name));
    await exportKeys(provisioned.client(first), await provisioned.stub(first));
    for (const name of [second, third]) await importKeys(provisioned.client(name), await provisioned.stub(name));
    await provisioned[Symbol.asyncDispose]();
    goBack = world.mark();
  });
  after(() => world[Symbol.dispose]());
  beforeEach(() => {
    goBack();
    hosts = provisioned.copy();
  });
  afterEach(() => hosts[Symbol.asyncDispose]());

  const recoveryKeyOf = (name: string) => rsaPair(organisations.indexOf(name as typeof first)).privateKey;
  const share = async (name: string, key = recoveryKeyOf(name)) =>
    issueShares(hosts.client(name), await hosts.stub(name), key);
  const onLedger = async () => (await issuedShares(hosts.client(first), 1n)).map(({ mspId }) => mspId);
  const standings = () => issueStandings(hosts.client(second), 1n, world.policy);
  /** A registered enclave of the third organisation without keys, at a host of its own. */
  const fresh = async () => {
    const name = `${third} new`;
    await initialise(hosts.client(name), await hosts.stub(name), world.creation(third));
    return { name, id: ownId(await hosts.stub(name)) };
  };
  const keysOf = (name: string) => ({ policyKey: world.policyKey(name).key, recoveryKey: recoveryKeyOf(name) });
  const release = (name: string, receiver: string, keys = keysOf(name), view: RegistryView = hosts.client(name)) =>
    releaseOwnShares(hosts.client(name), view, keys, receiver);
  /** By who has the platform of the first organisation, and so its enclave's keys. */
  const issueFalse = async () => {
    const blob = readFileSync(join(hosts.folder, first, "blob"));
    const signed = await falseShares(world, first, blob, await (await hosts.stub(first)).issueRecovery());
    await hosts.client(first).submit("putRecovery", chaincodeId, signed);
  };
  const organisationsWhereThirdHas = (recoveryKey: Uint8Array) =>
    world.policy.organisations.map((one) => (one.mspId === third ? { ...one, recoveryKey } : one));

  it("are released to nobody where there are none, or no such enclave: NOT_FOUND", async () => {
    const { id } = await fresh();
    await assert.rejects(release(first, id), { code: "NOT_FOUND", message: /no recovery shares/ });
    await share(first);
    await assert.rejects(release(first, "0".repeat(64)), { code: "NOT_FOUND", message: /no enclave/ });
  });

  it("are encrypted to the key that the organisation's view of the registry gives, not to one of its own peer's", async () => {
    await share(first);
    const { id } = await fresh();
    const own = hosts.client(first);
    const asked: string[] = [];
    const view: RegistryView = {
      chaincodeEncryptionKey: () => assert.fail("no chaincode is called"),
      canEndorse: () => assert.fail("ERCC asks that"),
      requireEnclave: async (wanted) => {
        asked.push(wanted);
        throw new EnclaveError("BAD_SIGNATURE", "a test: peers do not say the same");
      },
    };
    await assert.rejects(release(first, id, keysOf(first), view), { code: "BAD_SIGNATURE" });
    assert.deepEqual(asked, [id]);
    const named = recordNames.released(chaincodeId, id, first);
    assert.equal(await own.record(named), undefined);
    await release(first, id);
    assert.notEqual(await own.record(named), undefined);
  });

  it("are issued once, and only verified by whoever asks for them again", async () => {
    const issued = await share(first);
    assert.deepEqual([issued.isNew, issued.generation, issued.policyNumber], [true, 1n, 1n]);
    assert.deepEqual(issued.issue.holders, organisations);
    for (const name of organisations) {
      const again = await share(name);
      assert.deepEqual([again.isNew, again.issue.mspId, again.useless], [false, first, []]);
    }
    assert.deepEqual(await onLedger(), [first]);
  });

  it("stay those of a policy that follows with the same organisations, keys and number, where they are right", async () => {
    const { issue } = await share(first);
    await world.setPolicy({ evidenceAgeSeconds: 3600n });
    const again = await share(second);
    assert.deepEqual([again.isNew, again.policyNumber, again.issue.number], [false, 1n, issue.number]);
    assert.deepEqual(await standings(), [{ issuedBy: first, policy: 1, isForPolicy: true }]);
  });

  it("are issued for another number of organisations, and those of the former one are released as well", async () => {
    await share(first);
    const { name, id } = await fresh();
    await release(first, id);
    await world.setPolicy({ recoveryThreshold: 3 });
    assert.deepEqual(await standings(), [{ issuedBy: first, policy: 1, isForPolicy: false }]);
    const issued = await share(second);
    assert.deepEqual([issued.isNew, issued.policyNumber, issued.issue.mspId], [true, 2n, second]);
    const { shares, useless } = await release(third, id);
    assert.deepEqual(useless, []);
    assert.deepEqual(
      shares.map(({ issue, releasedBy, needed }) => [issue.mspId, releasedBy, needed]),
      [
        [first, [first, third], 3],
        [second, [third], 3],
      ],
    );
    await assert.rejects(recoverKeys(hosts.client(name), await hosts.stub(name)), { code: "POLICY_DENIED" });
    await release(second, id);
    await recoverKeys(hosts.client(name), await hosts.stub(name));
  });

  it("of a former release, which nobody can verify, have others beside them", async () => {
    const signed = decodeStrict(SignedRecoveryMessageSchema, await (await hosts.stub(first)).issueRecovery());
    const former = { ...readRecovery(signed), policyNumber: 0n, sealedShares: new Uint8Array() };
    const serializedRecovery = packAny(RecoveryMessageSchema, create(RecoveryMessageSchema, former));
    const state = world.ledger.begin({ mspId: first, isAdmin: true }, Date.now());
    const name = recordNames.recovery(chaincodeId, 1n);
    await writeRecord(state, name, SignedRecoveryMessageSchema, { ...signed, serializedRecovery });
    assert.ok(world.ledger.commit(state));
    const { isNew, issue } = await share(first);
    assert.deepEqual([isNew, issue.number], [true, 2n]);
    assert.equal((await share(second)).issue.number, 2n);
  });

  it("that do not fit are found by the next who asks, who has others issued; any k of these give the keys", async () => {
    await issueFalse();
    const { isNew, issue, useless } = await share(second);
    assert.deepEqual([isNew, issue.mspId], [true, second]);
    assert.deepEqual(
      useless.map((one) => [one.issue.mspId, one.because]),
      [[first, "the recovery shares do not fit together"]],
    );
    assert.deepEqual(await onLedger(), [first, second]);
    const { name, id } = await fresh();
    for (const one of [first, third]) await release(one, id);
    await recoverKeys(hosts.client(name), await hosts.stub(name));
  });

  it("that do not fit are an error to who has issued them, until another organisation has issued its own", async () => {
    await issueFalse();
    await assert.rejects(share(first), { code: "BAD_CIPHERTEXT", message: /Org1MSP issued are of no use/ });
    await share(second);
    const { isNew, issue } = await share(first);
    assert.deepEqual([isNew, issue.mspId], [false, second]);
  });

  it("are refused to a recovery key that the policy does not name: SETTINGS_INVALID", async () => {
    const other = rsaPair(5).privateKey;
    await assert.rejects(share(third, other), { code: "SETTINGS_INVALID", message: /is not the one that policy/ });
    assert.deepEqual(await onLedger(), []);
  });

  it("are refused to who shows another ledger than the enclave believes", async () => {
    world.stale = world.copyOfLedger();
    await hosts.client(first).submit("putRecovery", chaincodeId, await (await hosts.stub(first)).issueRecovery());
    await assert.rejects(share(second), { code: "NOT_FOUND", message: /the ledger has no issue/ });
    world.stale = undefined;
    assert.equal((await share(second)).isNew, false);

    const name = recordNames.recovery(chaincodeId, 1n);
    const shown = await hosts.client(first).record(name);
    goBack();
    await hosts.client(first).submit("putRecovery", chaincodeId, await (await hosts.stub(first)).issueRecovery());
    world.lie = (question) =>
      question.kind === "record" && question.name.type === name.type ? [shown ?? Buffer.alloc(0)] : undefined;
    await assert.rejects(share(second), { code: "CONFLICT", message: /other recovery shares/ });
    world.lie = undefined;
  });

  it("are released but for those that do not open with the own key", async () => {
    await share(first);
    const key = rsaPair(5);
    await world.setPolicy({ organisations: organisationsWhereThirdHas(key.publicPem) });
    await share(second);
    const { id } = await fresh();
    const { shares, useless } = await release(third, id, { ...keysOf(third), recoveryKey: key.privateKey });
    assert.deepEqual(
      useless.map(({ issue }) => issue.mspId),
      [first],
    );
    assert.deepEqual(
      shares.map(({ releasedBy }) => releasedBy),
      [[], [third]],
    );
  });
});
