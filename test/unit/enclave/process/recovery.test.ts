import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { recordTypes } from "../../../../src/enclave/ercc/registry-state.ts";
import { EnclaveError } from "../../../../src/enclave/errors.ts";
import { packAny } from "../../../../src/enclave/messages/any.ts";
import { encodeArgument } from "../../../../src/enclave/messages/argument.ts";
import { CredentialsSchema } from "../../../../src/enclave/messages/generated/fpc/fpc_pb.ts";
import {
  RecoveryMessageSchema,
  SignedRecoveryMessageSchema,
  SignedReleasedShareMessageSchema,
} from "../../../../src/enclave/messages/generated/fpc/key_dist_pb.ts";
import { decodeStrict } from "../../../../src/enclave/messages/strict.ts";
import { readCredentials } from "../../../../src/enclave/protocol/attested-data.ts";
import { openShare } from "../../../../src/enclave/protocol/recovery.ts";
import { readRecovery, recoveryHash } from "../../../../src/enclave/protocol/recovery-form.ts";
import { releaseShare } from "../../../../src/enclave/protocol/released-share.ts";
import type { LedgerQuestion } from "../../../../src/enclave/trusted-ledger/exchange.ts";
import { rsaPair } from "../ercc/test-keys.ts";
import { falseShares } from "./false-shares.ts";
import { TestHost } from "./test-host.ts";
import { chaincodeId, organisations, World } from "./world.ts";

const decoded = (recovery: Buffer) => decodeStrict(SignedRecoveryMessageSchema, recovery);

async function put(world: World, mspId: string, recovery: Buffer): Promise<void> {
  await world.call(mspId, "putRecovery", chaincodeId, encodeArgument(SignedRecoveryMessageSchema, decoded(recovery)));
}

/** The organisation of this index lets an enclave have its share of an issue. */
async function releaseTo(world: World, to: TestHost, recovery: Buffer, index: number): Promise<void> {
  const mspId = organisations[index] ?? "";
  const signed = decoded(recovery);
  using share = openShare(readRecovery(signed), mspId, rsaPair(index).privateKey);
  const receiver = readCredentials(decodeStrict(CredentialsSchema, to.credentials));
  const released = releaseShare({ recovery: signed, mspId, share, receiver }, world.policyKey(mspId).key);
  const text = encodeArgument(SignedReleasedShareMessageSchema, released);
  await world.call(mspId, "releaseShare", chaincodeId, text);
}

describe("the recovery of chaincode keys when every enclave is lost", () => {
  let world: World;
  let lost: TestHost;
  let fresh: TestHost;
  let recovery: Buffer;
  let lostKeys: (string | undefined)[];

  before(async () => {
    world = await World.start();
    lost = await TestHost.registered(world, "Org1MSP");
    await lost.registerKeys(await lost.call("generateCCKeys"));
    lostKeys = (await lost.opened()).generations.map(({ ekHash }) => ekHash);
    fresh = await TestHost.registered(world, "Org2MSP");
  });
  after(() => world[Symbol.dispose]());

  const release = (index: number) => releaseTo(world, fresh, recovery, index);

  test("is refused while the ledger has no shares", async () => {
    await assert.rejects(fresh.call("recover"), { code: "NOT_FOUND" });
    await assert.rejects(fresh.call("issueRecovery"), { code: "NOT_PROVISIONED" });
    await assert.rejects(fresh.call("checkRecovery", Buffer.from("1")), { code: "NOT_PROVISIONED" });
  });

  test("is refused while nobody, and while too few, released theirs", async () => {
    recovery = await lost.call("issueRecovery");
    await put(world, "Org1MSP", recovery);
    await lost.end();
    await assert.rejects(fresh.call("recover"), { code: "POLICY_DENIED" });
    await release(0);
    await assert.rejects(fresh.call("recover"), { code: "POLICY_DENIED" });
    assert.deepEqual(await fresh.held(), []);
  });

  test("is taken back where the ledger has another state key, or the host cannot store the blob", async () => {
    await release(2);
    await world.lieAboutStateKey(1n);
    await assert.rejects(fresh.call("recover"), { code: "EK_MISMATCH" });
    world.lie = undefined;
    fresh.storeFails = true;
    await assert.rejects(fresh.call("recover"), { code: "STORE_FAILED" });
    fresh.storeFails = false;
    assert.deepEqual(await fresh.held(), []);
  });

  test("gives a new enclave the same keys, which the registry takes", async () => {
    await fresh.registerKeys(await fresh.call("recover"));
    assert.deepEqual(
      (await fresh.opened()).generations.map(({ ekHash }) => ekHash),
      lostKeys,
    );
    await assert.rejects(fresh.call("recover"), { code: "KEYS_EXIST" });
  });

  test("gives no other enclave anything", async () => {
    const other = await TestHost.registered(world, "Org3MSP");
    await assert.rejects(other.call("recover"), { code: "POLICY_DENIED" });
  });
});

describe("recovery shares of more than one issue", () => {
  let world: World;
  let first: TestHost;
  let second: TestHost;
  /** Issued by an enclave that is none, with one share that does not fit. */
  let bad: Buffer;
  let good: Buffer;

  before(async () => {
    world = await World.start();
    first = await TestHost.registered(world, "Org1MSP");
    await first.registerKeys(await first.call("generateCCKeys"));
    second = await TestHost.provisioned(world, "Org2MSP", first);
    bad = await falseShares(world, "Org1MSP", first.file("blob"), await first.call("issueRecovery"));
    await put(world, "Org1MSP", bad);
    good = await second.call("issueRecovery");
    await put(world, "Org2MSP", good);
  });
  after(() => world[Symbol.dispose]());

  const check = (host: TestHost, issue: number | string) => host.call("checkRecovery", Buffer.from(`${issue}`));

  test("are verified before they are needed, by every enclave that holds the keys", async () => {
    for (const host of [first, second]) {
      await assert.rejects(check(host, 1), { code: "BAD_CIPHERTEXT", message: /do not fit together/ });
      assert.deepEqual(await check(host, 2), recoveryHash(decoded(good)));
    }
  });

  test("are not found by a number that the ledger has not, and MALFORMED by none", async () => {
    await assert.rejects(check(first, 3), { code: "NOT_FOUND", message: /no issue 3/ });
    for (const number of ["", "0", "-1", "1e3", "x"]) await assert.rejects(check(first, number), { code: "MALFORMED" });
    await assert.rejects(first.all("checkRecovery"), { code: "MALFORMED" });
  });

  test("give the keys by the issue that is good, also where as many were released of the bad one", async () => {
    const fresh = await TestHost.registered(world, "Org3MSP");
    for (const index of [0, 2]) await releaseTo(world, fresh, bad, index);
    await assert.rejects(fresh.call("recover"), { code: "BAD_CIPHERTEXT" });
    await releaseTo(world, fresh, good, 0);
    await assert.rejects(fresh.call("recover"), { code: "BAD_CIPHERTEXT" });
    await releaseTo(world, fresh, good, 1);
    await fresh.registerKeys(await fresh.call("recover"));
    assert.deepEqual((await fresh.opened()).generations, (await second.opened()).generations);
  });

  test("give nothing where fewer were released of each than open one", async () => {
    const other = await TestHost.registered(world, "Org3MSP");
    await releaseTo(world, other, bad, 0);
    await releaseTo(world, other, good, 1);
    await assert.rejects(other.call("recover"), {
      code: "POLICY_DENIED",
      message: /1 recovery shares .* 2 are needed/,
    });
  });

  test("are passed over where one organisation's cannot be read: it does not stop the others", async () => {
    const fresh = await TestHost.registered(world, "Org3MSP");
    for (const index of [1, 2]) await releaseTo(world, fresh, good, index);
    const of = (question: LedgerQuestion, mspId: string) =>
      question.kind === "record" &&
      question.name.type === recordTypes.released &&
      question.name.attributes[2] === mspId;
    const refusal = (code: "MALFORMED" | "LEDGER_UNAVAILABLE") => () => {
      throw new EnclaveError(code, "the answer is of no use");
    };
    const answers: readonly (() => readonly Uint8Array[])[] = [
      () => [Buffer.from("no message")],
      () => [Buffer.from(encodeArgument(SignedRecoveryMessageSchema, decoded(good)))],
      () => [Buffer.alloc(300_000, "A")],
      refusal("MALFORMED"),
      refusal("LEDGER_UNAVAILABLE"),
    ];
    for (const answer of answers) {
      world.lie = (question) => (of(question, "Org1MSP") ? answer() : undefined);
      fresh.storeFails = true;
      await assert.rejects(fresh.call("recover"), { code: "STORE_FAILED" });
      fresh.storeFails = false;
    }
    // Where too few are left without it, that is why.
    world.lie = (question) => (of(question, "Org2MSP") ? refusal("LEDGER_UNAVAILABLE")() : undefined);
    await assert.rejects(fresh.call("recover"), { code: "LEDGER_UNAVAILABLE" });
    world.lie = undefined;
    await fresh.registerKeys(await fresh.call("recover"));
  });

  test("are passed over where an issue cannot be read, and not for ever", async () => {
    const fresh = await TestHost.registered(world, "Org3MSP");
    for (const index of [0, 1]) await releaseTo(world, fresh, good, index);
    const of = (question: LedgerQuestion, number: string) =>
      question.kind === "record" &&
      question.name.type === recordTypes.recovery &&
      (question.name.attributes[2] ?? "1") === number;
    const signed = decoded(good);
    const long = { ...readRecovery(signed), wrappedGeneration: Buffer.alloc(300_000, 7) };
    const text = encodeArgument(SignedRecoveryMessageSchema, {
      ...signed,
      serializedRecovery: packAny(RecoveryMessageSchema, long),
    });
    world.lie = (question) => (of(question, "1") ? [Buffer.from(text)] : undefined);
    await assert.rejects(check(first, 1), { code: "BAD_CIPHERTEXT", message: /cannot be read/ });
    fresh.storeFails = true;
    await assert.rejects(fresh.call("recover"), { code: "STORE_FAILED" });
    // What the ledger's answer is of no use for may be right all the same.
    world.lie = (question) => (of(question, "1") ? [Buffer.from("no message")] : undefined);
    await assert.rejects(check(first, 1), { code: "MALFORMED" });
    await assert.rejects(fresh.call("recover"), { code: "STORE_FAILED" });
    fresh.storeFails = false;
    world.lie = (question) =>
      question.kind === "record" && question.name.type === recordTypes.recovery ? [Buffer.of(1)] : undefined;
    await assert.rejects(fresh.call("recover"), { code: "MALFORMED" });
    world.lie = undefined;
    await fresh.registerKeys(await fresh.call("recover"));
  });

  test("give nothing while the policy in force wants no recovery", async () => {
    const other = await TestHost.registered(world, "Org3MSP");
    for (const index of [0, 1]) await releaseTo(world, other, good, index);
    await world.setPolicy({ recoveryThreshold: 0 });
    await assert.rejects(other.call("recover"), { code: "POLICY_DENIED", message: /no recovery/ });
    await world.setPolicy({});
  });

  test("need as many as the policy in force wants", async () => {
    const other = await TestHost.registered(world, "Org3MSP");
    await world.setPolicy({ recoveryThreshold: 3 });
    for (const index of [0, 1]) await releaseTo(world, other, good, index);
    await assert.rejects(other.call("recover"), {
      code: "POLICY_DENIED",
      message: /2 recovery shares .* 3 are needed/,
    });
    await releaseTo(world, other, good, 2);
    await other.registerKeys(await other.call("recover"));
  });
});
