import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import {
  readRevocationSignature,
  revocationOf,
  revokeTogether,
  signRevocations,
} from "../../../../src/enclave/operator/revocation.ts";
import { organisations, World } from "../process/world.ts";
import { clientOf } from "./world-hosts.ts";

describe("a revocation that organisations sign each for itself", () => {
  const [first, second, third] = organisations;
  const enclaveId = "AB".repeat(32);
  const reason = "its host was stolen";
  let world: World;
  before(async () => {
    world = await World.start();
  });
  after(() => world[Symbol.dispose]());

  const of = (mspId: string, words = reason, id = enclaveId) => revocationOf(clientOf(world, mspId), id, words);
  const signed = async (mspId: string, words?: string, id?: string) => {
    const [signature] = signRevocations(await of(mspId, words, id), new Map([[mspId, world.policyKey(mspId).key]]));
    return JSON.stringify(signature);
  };

  it("is the same statement at each of them", async () => {
    assert.deepEqual((await of(first)).statement, (await of(second)).statement);
    assert.deepEqual(readRevocationSignature(await signed(second), await of(first)).mspId, second);
  });

  it("is not taken for another enclave, reason or policy", async () => {
    const wrong = { code: "WRONG_CONTEXT", message: /of another revocation/ };
    for (const text of [await signed(second, "lost"), await signed(second, reason, "CD".repeat(32))]) {
      const own = await of(first);
      assert.throws(() => readRevocationSignature(text, own), wrong);
    }
    const before = await signed(second);
    await world.setPolicy({ threshold: 2 });
    const own = await of(first);
    assert.throws(() => readRevocationSignature(before, own), wrong);
  });

  it("is not read where it has another form: MALFORMED", async () => {
    const own = await of(first);
    const right = JSON.parse(await signed(second));
    for (const text of [
      "",
      "[]",
      "null",
      JSON.stringify({ ...right, more: 1 }),
      JSON.stringify({ ...right, mspId: "" }),
      JSON.stringify({ ...right, statementHash: right.statementHash.toUpperCase() }),
      JSON.stringify({ ...right, signature: "no base64!" }),
      JSON.stringify({ mspId: right.mspId, signature: right.signature }),
    ])
      assert.throws(() => readRevocationSignature(text, own), { code: "MALFORMED" }, text);
  });

  it("is signed by no organisation that the policy lacks, and with no other key than it names: POLICY_DENIED", async () => {
    const own = await of(first);
    for (const [mspId, key] of [
      ["Org9MSP", world.policyKey(first).key],
      [first, world.policyKey(second).key],
    ] as const)
      assert.throws(() => signRevocations(own, new Map([[mspId, key]])), { code: "POLICY_DENIED" });
  });

  it("is refused for a reason that the ledger does not take: MALFORMED", async () => {
    for (const words of ["", "two\nlines", "x".repeat(257)])
      await assert.rejects(of(first, words), { code: "MALFORMED" });
  });

  it("counts for as many organisations as signed, each once, whoever says that it has", async () => {
    const own = await of(first);
    const texts = await Promise.all([first, second, third].map((mspId) => signed(mspId)));
    const [one, two] = texts.map((text) => readRevocationSignature(text, own));
    assert.ok(one && two);
    const bring = (...signatures: readonly (typeof one)[]) => revokeTogether(clientOf(world, first), own, signatures);
    await assert.rejects(bring(one), { code: "BAD_SIGNATURE" });
    await assert.rejects(bring(one, one), { code: "BAD_SIGNATURE" });
    await assert.rejects(bring(one, { ...one, mspId: second }), { code: "BAD_SIGNATURE" });
    // The signatures are enough: what is wrong is that the ledger has no such enclave.
    await assert.rejects(bring(one, two), { code: "NOT_REGISTERED" });
  });
});
