import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import type { RecoveryMessage } from "../../../../src/enclave/messages/generated/fpc/key_dist_pb.ts";
import { ChaincodeGeneration } from "../../../../src/enclave/protocol/chaincode-keys.ts";
import { issueRecovery, openShare } from "../../../../src/enclave/protocol/recovery.ts";
import { checkShares, sealShares } from "../../../../src/enclave/protocol/recovery-check.ts";
import { readRecovery } from "../../../../src/enclave/protocol/recovery-form.ts";
import { associatedData, wrapUnder } from "../../../../src/enclave/protocol/recovery-wrap.ts";
import { falseIssue } from "./false-issue.ts";
import {
  enclave,
  encryptionKey,
  generation,
  mspIds,
  organisationNames,
  policy,
  reason,
  signingKey,
} from "./fixtures.ts";

const issuer = enclave("enclave1");
const first = generation(1);

const issue = async (threshold: number, keys = first): Promise<RecoveryMessage> =>
  readRecovery(
    await issueRecovery({
      ccParamsHash: issuer.ccParamsHash,
      generation: keys,
      policy: policy({ recoveryThreshold: threshold }),
      issuer: { enclaveId: issuer.enclaveId.bytes, sk: signingKey("enclave1").key },
    }),
  );

const sharesOf = (message: RecoveryMessage): SecretBuffer[] =>
  organisationNames.map((name) => openShare(message, mspIds[name], encryptionKey(name).key));

/** With one byte of it changed. */
function changed(share: SecretBuffer, at: number, to = (byte: number) => byte ^ 1): SecretBuffer {
  const bytes = share.expose((exposed) => Buffer.from(exposed));
  bytes[at] = to(bytes[at] ?? 0);
  return SecretBuffer.take(bytes);
}

/** The same number and chaincode key, with another SEK. */
function withOtherStateKey(): ChaincodeGeneration {
  return new ChaincodeGeneration(1n, SecretBuffer.random(16), SecretBuffer.copyOf(first.dkPem.expose(Buffer.from)));
}

const refused = (message: RecoveryMessage, about: RegExp, holds = first) =>
  assert.rejects(checkShares(holds, message), reason("BAD_CIPHERTEXT", about));

describe("an enclave that holds the keys", () => {
  let good: RecoveryMessage;
  let shares: SecretBuffer[];

  before(async () => {
    good = await issue(2);
    shares = sharesOf(good);
  });

  it("verifies that any of the shares open them, with two of three and with three of three", async () => {
    await checkShares(first, good);
    await checkShares(first, await issue(3));
    await checkShares(first, falseIssue(good, first, shares));
  });

  it("finds one share that does not fit the others, whichever it is", async () => {
    for (const threshold of [2, 3]) {
      const message = await issue(threshold);
      const right = sharesOf(message);
      for (const wrong of [0, 1, 2]) {
        const made = right.map((share, index) => (index === wrong ? changed(share, 7) : share));
        await refused(falseIssue(message, first, made), /do not/);
      }
    }
  });

  it("finds shares of another wrapping key, all of which fit together", async () => {
    await refused(falseIssue(good, first, sharesOf(await issue(2))), /do not open the generation/);
  });

  it("finds shares of which more are needed than the issue says", async () => {
    const message = await issue(3);
    await refused(falseIssue(message, first, sharesOf(message), { threshold: 2 }), /do not/);
  });

  it("finds one share given twice, and one of number 0, which would be the key itself", async () => {
    const [one, two, three] = shares;
    assert.ok(one && two && three);
    await refused(falseIssue(good, first, [one, two, two]), /do not fit together/);
    await refused(falseIssue(good, first, [one, one, three]), /do not fit together/);
    await refused(falseIssue(good, first, [one, two, changed(three, 32, () => 0)]), /do not fit together/);
  });

  it("finds a share's hash that is another's: who releases the right share would be called a liar", async () => {
    const [one, two, three] = shares;
    assert.ok(one && two && three);
    const swapped = falseIssue(good, first, [one, three, two]);
    await checkShares(first, swapped);
    // What is sealed is bound to the hashes, so that this takes an issuer who seals other shares than it shows.
    const shown = { ...swapped, sealedShares: new Uint8Array() };
    await refused({ ...shown, sealedShares: sealShares(first, shown, [one, two, three]) }, /share of Org2MSP is not/);
  });

  it("finds that other keys are wrapped: another state key, another number", async () => {
    using otherStateKey = withOtherStateKey();
    const wrongKeys = await issue(2, otherStateKey);
    // The issuer knows both, and seals for who holds the right one.
    await refused(falseIssue(wrongKeys, first, sharesOf(wrongKeys)), /other keys/);
    using key = SecretBuffer.random(32);
    using text = SecretBuffer.random(100);
    const noKeys = { wrappedGeneration: wrapUnder(key, text, associatedData(good)) };
    await refused(falseIssue(good, first, shares, noKeys), /do not open the generation/);
  });

  it("finds one bit changed in whatever it is bound to", async () => {
    const flip = (bytes: Uint8Array) => {
      const copy = Buffer.from(bytes);
      copy[copy.length >> 1] = (copy[copy.length >> 1] ?? 0) ^ 1;
      return copy;
    };
    const [one, ...others] = good.shares;
    assert.ok(one);
    const changes: Partial<RecoveryMessage>[] = [
      { ccParamsHash: flip(good.ccParamsHash) },
      { chaincodeEk: flip(good.chaincodeEk) },
      { generation: 2n },
      { threshold: 3 },
      { membersHash: flip(good.membersHash) },
      { wrappedGeneration: flip(good.wrappedGeneration) },
      { issuerEnclaveId: flip(good.issuerEnclaveId) },
      { policyNumber: 2n },
      { policyNumber: 0n },
      { sealedShares: flip(good.sealedShares) },
      { sealedShares: good.sealedShares.subarray(0, 20) },
      { shares: [{ ...one, encryptedShare: flip(one.encryptedShare) }, ...others] },
      { shares: [{ ...one, mspId: "Org9MSP" }, ...others] },
      { shares: others },
    ];
    for (const change of changes) await refused({ ...good, ...change }, /does not open/);
  });

  it("opens nothing with another generation, or with one of its two secrets alone", async () => {
    await refused(good, /does not open/, generation(2));
    using otherStateKey = withOtherStateKey();
    await refused(good, /does not open/, otherStateKey);
  });

  it("does not verify what was issued without what it is verified by", async () => {
    const before = { ...good, sealedShares: new Uint8Array() };
    await assert.rejects(checkShares(first, before), reason("NOT_FOUND", /without what verifies/));
  });
});

describe("what is sealed of the shares", () => {
  it("has none of them in clear, and is another text each time", async () => {
    const [one, two] = [await issue(2), await issue(2)];
    assert.notDeepEqual(one.sealedShares, two.sealedShares);
    for (const share of sharesOf(one))
      share.expose((bytes) => assert.equal(Buffer.from(one.sealedShares).includes(bytes), false));
  });
});
