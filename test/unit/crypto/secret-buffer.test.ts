import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { format, inspect } from "node:util";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";

describe("SecretBuffer", () => {
  it("wipes the source it takes over, and its own bytes on dispose", () => {
    const source = Buffer.from("0123456789abcdef");
    let view: Buffer;
    {
      using secret = SecretBuffer.take(source);
      assert.ok(source.every((byte) => byte === 0));
      view = secret.expose((bytes) => bytes);
      assert.equal(view.toString(), "0123456789abcdef");
    }
    assert.ok(view.every((byte) => byte === 0));
  });

  it("prints as its length wherever it is printed", () => {
    using secret = SecretBuffer.copyOf(Buffer.alloc(32, "x"));
    const text = "[secret 32 bytes]";
    assert.equal(String(secret), text);
    assert.equal(`${secret}`, text);
    assert.equal(JSON.stringify({ secret }), `{"secret":"${text}"}`);
    assert.equal(inspect(secret), text);
    assert.equal(format("%s %o", secret, secret), `${text} ${text}`);
  });

  it("refuses to be used after it was wiped", () => {
    const secret = SecretBuffer.random(16);
    secret[Symbol.dispose]();
    assert.throws(() => secret.expose(() => 0), /after it was wiped/);
  });

  it("compares bytes and lengths", () => {
    using secret = SecretBuffer.copyOf(Buffer.from("same"));
    assert.ok(secret.equals(Buffer.from("same")));
    assert.ok(!secret.equals(Buffer.from("sama")));
    assert.ok(!secret.equals(Buffer.from("same longer")));
  });
});
