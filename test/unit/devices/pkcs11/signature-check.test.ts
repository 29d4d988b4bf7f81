import assert from "node:assert/strict";
import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";
import { describe, it } from "node:test";
import { fingerprintOf } from "../../../../src/devices/pkcs11/curves.ts";
import { SignatureCheck } from "../../../../src/devices/pkcs11/signature-check.ts";
import type { TokenSigningKey } from "../../../../src/devices/pkcs11/token.ts";

const [ours, other] = [1, 2].map(() => generateKeyPairSync("ec", { namedCurve: "prime256v1" }));
assert.ok(ours && other);
const spki = ours.publicKey.export({ format: "der", type: "spki" });
const signer: TokenSigningKey = { id: Buffer.of(7), curve: "ECC_NIST_P256", fingerprint: fingerprintOf(spki) };
const [here, elsewhere] = [randomBytes(8), randomBytes(8)];

/** What a token's process answers for a message: a signature of this key, and when it was made. */
function answer(key: KeyObject, message: string, beganMs: number, endedMs: number, nonce = here): Buffer {
  const times = Buffer.alloc(16);
  times.writeDoubleLE(beganMs);
  times.writeDoubleLE(endedMs, 8);
  return Buffer.concat([sign("sha256", Buffer.from(message), { key, dsaEncoding: "ieee-p1363" }), nonce, times]);
}

const digest = (message: string) => createHash("sha256").update(message).digest();

function newCheck(shown: Buffer = spki): SignatureCheck {
  return new SignatureCheck(() =>
    Promise.resolve({ curve: "ECC_NIST_P256", spki: shown, fingerprint: fingerprintOf(shown) }),
  );
}

/** Which of the answers, which arrive together, are given out. */
async function givenOut(...answers: readonly (readonly [message: string, answer: Buffer])[]): Promise<boolean[]> {
  using check = newCheck();
  const outcomes = await Promise.allSettled(
    answers.map(([message, bytes]) => check.checked(signer, digest(message), () => Promise.resolve(bytes))),
  );
  for (const each of outcomes)
    if (each.status === "rejected") assert.equal(each.reason.code, "DEVICE_KEY_CHANGED", String(each.reason));
  return outcomes.map(({ status }) => status === "fulfilled");
}

describe("the check of a token's signatures", () => {
  it("gives out what the key made, alone and together, in DER too", async () => {
    using check = newCheck();
    const { raw, der } = await check.checked(signer, digest("a"), () =>
      Promise.resolve(answer(ours.privateKey, "a", 1, 2)),
    );
    assert.deepEqual([raw.length, der?.[0]], [64, 0x30]);
    const many = Array.from(
      { length: 20 },
      (_, at) => [`${at}`, answer(ours.privateKey, `${at}`, at, at + 1)] as const,
    );
    assert.ok((await givenOut(...many)).every(Boolean));
  });

  it("gives out nothing that another key made last", async () => {
    const right = answer(ours.privateKey, "a", 1, 2);
    const wrong = answer(other.privateKey, "b", 3, 4);
    assert.deepEqual(await givenOut(["a", right], ["b", wrong]), [true, false]);
    assert.deepEqual(await givenOut(["b", wrong], ["a", right]), [false, true]);
    assert.deepEqual(await givenOut(["b", wrong]), [false]);
  });

  it("verifies each that had not ended when the last was begun, or that another process made", async () => {
    const last = answer(ours.privateKey, "last", 10, 12);
    assert.deepEqual(await givenOut(["a", answer(other.privateKey, "a", 9, 11)], ["last", last]), [false, true]);
    assert.deepEqual(await givenOut(["a", answer(other.privateKey, "a", 1, 2, elsewhere)], ["last", last]), [
      false,
      true,
    ]);
    assert.deepEqual(await givenOut(["a", answer(ours.privateKey, "a", 9, 11)], ["last", last]), [true, true]);
  });

  it("gives out nothing of another message, another length, or times that are no numbers", async () => {
    const right = answer(ours.privateKey, "a", 1, 2);
    assert.deepEqual(await givenOut(["b", right]), [false]);
    assert.deepEqual(await givenOut(["a", right.subarray(1)]), [false]);
    assert.deepEqual(await givenOut(["a", Buffer.concat([right, Buffer.of(0)])]), [false]);
    assert.deepEqual(await givenOut(["a", Buffer.alloc(right.length)]), [false]);
    const timeless = answer(other.privateKey, "a", Number.NaN, Number.NaN);
    assert.deepEqual(await givenOut(["a", timeless], ["b", answer(ours.privateKey, "b", 3, 4)]), [false, true]);
    assert.deepEqual(await givenOut(["b", answer(ours.privateKey, "b", 3, 4)], ["a", timeless]), [true, false]);
  });

  it("asks for no signature of a key whose public half is another than is known, and looks again later", async () => {
    const shown = [other.publicKey.export({ format: "der", type: "spki" }), spki];
    using check = new SignatureCheck(() => {
      const next = shown.shift() ?? spki;
      return Promise.resolve({ curve: "ECC_NIST_P256", spki: next, fingerprint: fingerprintOf(next) });
    });
    let asked = 0;
    const ask = () => {
      asked += 1;
      return Promise.resolve(answer(ours.privateKey, "a", 1, 2));
    };
    await assert.rejects(check.checked(signer, digest("a"), ask), { code: "DEVICE_KEY_CHANGED" });
    assert.equal(asked, 0);
    await check.checked(signer, digest("a"), ask);
    assert.equal(asked, 1);
  });

  it("leaves no signature waiting for calls that do not come back", async () => {
    using check = newCheck();
    const never = Array.from({ length: 10 }, () =>
      check.checked(signer, digest("b"), () => new Promise<Buffer>(() => undefined)),
    );
    assert.equal(never.length, 10);
    await check.checked(signer, digest("a"), () => Promise.resolve(answer(ours.privateKey, "a", 1, 2)));
  });

  it("tells what failed in asking, and gives out the others", async () => {
    using check = newCheck();
    const failed = check.checked(signer, digest("a"), () => Promise.reject(new RangeError("gone")));
    const came = check.checked(signer, digest("b"), () => Promise.resolve(answer(ours.privateKey, "b", 1, 2)));
    await assert.rejects(failed, RangeError);
    assert.equal((await came).raw.length, 64);
  });

  it("keeps a key while it is waited for, however many others are asked for meanwhile", async () => {
    const keys = Array.from({ length: 300 }, (_, at) => {
      const pair = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
      const its = pair.publicKey.export({ format: "der", type: "spki" });
      return {
        pair,
        spki: its,
        signer: { ...signer, id: Buffer.from([at >> 8, at]), fingerprint: fingerprintOf(its) },
      };
    });
    using check = new SignatureCheck(async (id) => {
      const its = keys[id.readUInt16BE()]?.spki ?? spki;
      return { curve: "ECC_NIST_P256", spki: its, fingerprint: fingerprintOf(its) };
    });
    const [first, ...others] = keys;
    assert.ok(first);
    const { promise, resolve } = Promise.withResolvers<Buffer>();
    const slow = check.checked(first.signer, digest("slow"), () => promise);
    for (const { pair, signer: other } of others)
      await check.checked(other, digest("a"), async () => answer(pair.privateKey, "a", 1, 2));
    await new Promise(setImmediate);
    resolve(answer(first.pair.privateKey, "slow", 1, 2));
    assert.equal((await slow).raw.length, 64);
  });

  it("that is ended gives out what was asked for before, and a wrong one not", async () => {
    const check = newCheck();
    const { promise, resolve } = Promise.withResolvers<void>();
    const late = (key: KeyObject) => async () => {
      await promise;
      return answer(key, "a", 1, 2);
    };
    const [right, wrong] = [ours, other].map(({ privateKey }) => check.checked(signer, digest("a"), late(privateKey)));
    await new Promise(setImmediate);
    check[Symbol.dispose]();
    await new Promise(setImmediate);
    resolve();
    assert.deepEqual(
      (await Promise.allSettled([right, wrong])).map(({ status }) => status),
      ["fulfilled", "rejected"],
    );
  });

  it("fails for an input that is no digest of the key's, and goes on", async () => {
    using check = newCheck();
    const ask = () => Promise.resolve(answer(ours.privateKey, "a", 1, 2));
    await assert.rejects(check.checked(signer, Buffer.alloc(20), ask), RangeError);
    await check.checked(signer, digest("a"), ask);
  });
});
