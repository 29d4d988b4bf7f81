import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { SigningKeys } from "../../../../src/server/aws/signing-keys.ts";
import { exampleKey } from "./signed-request.ts";

describe("the signing keys that are kept", () => {
  const secret = SecretBuffer.take(Buffer.from(exampleKey.secret));

  it("are derived once for a day and a version", () => {
    using keys = new SigningKeys("r", "kms");
    const first = keys.of("a", secret, 1, "20260304");
    assert.equal(keys.of("a", secret, 1, "20260304"), first);
    assert.notEqual(keys.of("a", secret, 2, "20260304"), first);
    assert.equal(first.disposed, true);
    assert.equal(keys.size, 1);
  });

  it("are wiped when they are replaced, forgotten or make room", () => {
    using keys = new SigningKeys("r", "kms", { maxKeys: 2 });
    const day = keys.of("a", secret, 1, "20260304");
    const nextDay = keys.of("a", secret, 1, "20260305");
    assert.equal(day.disposed, true);
    const second = keys.of("b", secret, 1, "20260305");
    keys.of("a", secret, 1, "20260305");
    keys.of("c", secret, 1, "20260305");
    assert.deepEqual([nextDay.disposed, second.disposed, keys.size], [false, true, 2]);
    keys.forget("a");
    assert.equal(nextDay.disposed, true);
  });

  it("are wiped when the door closes", () => {
    const keys = new SigningKeys("r", "kms");
    const key = keys.of("a", secret, 1, "20260304");
    keys[Symbol.dispose]();
    assert.deepEqual([key.disposed, keys.size], [true, 0]);
  });
});
