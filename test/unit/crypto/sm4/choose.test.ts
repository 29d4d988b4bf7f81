import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, it } from "node:test";
import { chooseSm4, chooseSm4From, type Sm4Candidate } from "../../../../src/crypto/sm4/choose.ts";
import { opensslSm4 } from "../../../../src/crypto/sm4/openssl.ts";
import type { Sm4Key, Sm4Provider } from "../../../../src/crypto/sm4/provider.ts";

/** node:crypto's SM4 with some of it replaced; says of itself that it is another. */
function broken(change: (right: Sm4Key) => Partial<Sm4Key>): Sm4Provider {
  const right = opensslSm4();
  return {
    name: "addon",
    detail: "broken for a test",
    expand(key) {
      const expanded = right.expand(key);
      return {
        ctr: (...args) => expanded.ctr(...args),
        gcmSeal: (...args) => expanded.gcmSeal(...args),
        gcmOpen: (...args) => expanded.gcmOpen(...args),
        [Symbol.dispose]: () => expanded[Symbol.dispose](),
        ...change(expanded),
      };
    },
  };
}
const openssl: Sm4Candidate = { name: "openssl", make: opensslSm4 };
const spoil = (bytes: Uint8Array, at: number) => bytes.set([(bytes[at] ?? 0) ^ 0x10], at);

type Change = (right: Sm4Key) => Partial<Sm4Key>;
const breakages: Readonly<Record<string, Change>> = {
  "leaves the last byte of long counter-mode texts as it is": (right) => ({
    ctr(counter, input, output) {
      const last = input.at(-1);
      right.ctr(counter, input, output);
      if (input.length > 8000 && last !== undefined) output[output.length - 1] = last;
    },
  }),
  "counts only the last four bytes of the counter": (right) => ({
    ctr(counter, input, output) {
      const at = Buffer.from(counter);
      const stream = Buffer.alloc(input.length);
      for (let i = 0; i < input.length; i += 16) {
        right.ctr(at, stream.subarray(i, i + 16), stream.subarray(i, i + 16));
        at.writeUInt32BE((at.readUInt32BE(12) + 1) >>> 0, 12);
      }
      for (let i = 0; i < input.length; i++) output[i] = (input[i] ?? 0) ^ (stream[i] ?? 0);
    },
  }),
  "counts up the caller's counter": (right) => ({
    ctr(counter, input, output) {
      right.ctr(counter, input, output);
      counter[15] = ((counter[15] ?? 0) + 1) & 0xff;
    },
  }),
  "does not encrypt in place": (right) => ({
    gcmSeal(nonce, associatedData, plaintext, ciphertext, tag) {
      if (plaintext !== ciphertext) right.gcmSeal(nonce, associatedData, plaintext, ciphertext, tag);
    },
  }),
  "forgets the associated data": (right) => ({
    gcmSeal: (nonce, _, plaintext, ciphertext, tag) =>
      right.gcmSeal(nonce, Buffer.alloc(0), plaintext, ciphertext, tag),
    gcmOpen: (nonce, _, ciphertext, tag, plaintext) =>
      right.gcmOpen(nonce, Buffer.alloc(0), ciphertext, tag, plaintext),
  }),
  "uses a nonce of zeros": (right) => ({
    gcmSeal: (_, ...rest) => right.gcmSeal(Buffer.alloc(12), ...rest),
    gcmOpen: (_, ...rest) => right.gcmOpen(Buffer.alloc(12), ...rest),
  }),
  "spoils one bit of one block of a file": (right) => ({
    gcmSeal(nonce, associatedData, plaintext, ciphertext, tag) {
      right.gcmSeal(nonce, associatedData, plaintext, ciphertext, tag);
      if (ciphertext.length === 65_536) spoil(ciphertext, 40_000);
    },
  }),
  "makes a wrong tag of an empty message": (right) => ({
    gcmSeal(nonce, associatedData, plaintext, ciphertext, tag) {
      right.gcmSeal(nonce, associatedData, plaintext, ciphertext, tag);
      if (ciphertext.length === 0) spoil(tag, 15);
    },
  }),
  "encrypts nothing at all": () => ({ gcmSeal: () => {}, gcmOpen: () => true, ctr: () => {} }),
  "accepts every tag": (right) => ({
    gcmOpen(nonce, associatedData, ciphertext, _, plaintext) {
      const tag = Buffer.alloc(16);
      const copy = Buffer.from(ciphertext);
      // Decrypts by counter mode from GCM's second counter block.
      right.ctr(Buffer.concat([nonce, Buffer.from([0, 0, 0, 2])]), copy, plaintext);
      void [associatedData, tag];
      return true;
    },
  }),
  "compares only the first 15 bytes of the tag": (right) => ({
    gcmOpen: (nonce, associatedData, ciphertext, tag, plaintext) =>
      Array.from({ length: 256 }, (_, last) => last).some((last) => {
        const guess = Buffer.from(tag);
        guess[15] = last;
        const result = Buffer.alloc(ciphertext.length);
        if (!right.gcmOpen(nonce, associatedData, ciphertext, guess, result)) return false;
        plaintext.set(result);
        return true;
      }),
  }),
  "refuses every message": () => ({
    gcmOpen(_nonce, _associatedData, _ciphertext, _tag, plaintext) {
      plaintext.fill(0);
      return false;
    },
  }),
  "leaves a refused plaintext in the caller's hands": (right) => ({
    gcmOpen(nonce, associatedData, ciphertext, tag, plaintext) {
      const copy = Buffer.from(ciphertext);
      if (right.gcmOpen(nonce, associatedData, ciphertext, tag, plaintext)) return true;
      plaintext.set(copy);
      return false;
    },
  }),
  "writes beyond its output": (right) => ({
    ctr(counter, input, output) {
      right.ctr(counter, input, output);
      const memory = new Uint8Array(output.buffer);
      if (memory.length > output.byteOffset + output.byteLength) memory[output.byteOffset + output.byteLength] = 1;
    },
  }),
  "goes on with a disposed key": () => ({ [Symbol.dispose]: () => {} }),
  "throws in the middle": () => ({
    gcmSeal() {
      throw new Error("illegal instruction");
    },
  }),
};

describe("the choice of an SM4 implementation", () => {
  for (const [what, change] of Object.entries(breakages))
    it(`refuses one that ${what}`, () => {
      const choice = chooseSm4From([{ name: "addon", detail: "fake", make: () => broken(change) }, openssl]);
      assert.equal(choice.provider.name, "openssl");
      assert.equal(choice.rejected.length, 1);
      assert.equal(choice.rejected[0]?.name, "addon fake");
      assert.equal(choice.rejected[0]?.fault, "wrong");
      assert.match(choice.rejected[0]?.why ?? "", /^it is wrong in |^illegal instruction$/);
    });

  it("takes the first that is right, and tries none after it", () => {
    const choice = chooseSm4From([
      { name: "addon", make: () => broken(() => ({})) },
      { name: "wasm", make: () => assert.fail("was tried") },
    ]);
    assert.equal(choice.provider.detail, "broken for a test");
    assert.deepEqual(choice.rejected, []);
  });

  it("goes on after one that is missing, and says why", () => {
    const missing: Sm4Candidate = {
      name: "addon",
      make() {
        throw new Error("Cannot find module 'sm4.node'\nRequire stack: …");
      },
    };
    const { provider, rejected } = chooseSm4From([missing, openssl]);
    assert.equal(provider.name, "openssl");
    assert.deepEqual(rejected, [{ name: "addon", fault: "absent", why: "Cannot find module 'sm4.node'" }]);
  });

  it("fails, with each reason, when none is left", () => {
    const candidates: Sm4Candidate[] = [
      { name: "addon", make: () => broken(() => ({ ctr: () => {} })) },
      {
        name: "wasm",
        make() {
          throw new Error("no vectors");
        },
      },
    ];
    assert.throws(
      () => chooseSm4From(candidates),
      /no SM4 implementation .*addon: it is wrong in .*; wasm: no vectors/,
    );
    assert.throws(() => chooseSm4From([]), /no SM4 implementation/);
  });

  it("tries only what it is forced to", () => {
    const candidates: Sm4Candidate[] = [{ name: "addon", make: () => assert.fail("was tried") }, openssl];
    assert.equal(chooseSm4From(candidates, "openssl").provider.name, "openssl");
    assert.throws(() => chooseSm4From(candidates, "wasm"), /as STRONGROOM_SM4 asks/);
  });

  it("does not fall back from what it is forced to", () => {
    const candidates: Sm4Candidate[] = [{ name: "addon", make: () => broken(() => ({ ctr: () => {} })) }, openssl];
    assert.throws(() => chooseSm4From(candidates, "addon"), /as STRONGROOM_SM4 asks: addon: it is wrong/);
  });

  it("leaves out what is only for who forces it", () => {
    const scalar: Sm4Candidate = { name: "addon", onlyWhenForced: true, make: () => broken(() => ({})) };
    assert.equal(chooseSm4From([scalar, openssl]).provider.name, "openssl");
    assert.equal(chooseSm4From([scalar, openssl], "addon").provider.name, "addon");
  });

  it("refuses an unknown STRONGROOM_SM4", () => {
    for (const forced of ["gmssl", "OpenSSL", "addon,wasm"])
      assert.throws(() => chooseSm4From([openssl], forced), RangeError);
  });

  it("is made once in a process", () => {
    assert.equal(chooseSm4(), chooseSm4());
  });

  it("follows the environment of the process", () => {
    const module = join(import.meta.dirname, "../../../../src/crypto/sm4/choose.ts");
    const script = `import { chooseSm4 } from ${JSON.stringify(module)}; console.log(chooseSm4().provider.name);`;
    const choose = (forced: string) =>
      spawnSync(process.execPath, ["--input-type=module", "-e", script], {
        encoding: "utf8",
        env: { ...process.env, STRONGROOM_SM4: forced },
      });
    assert.equal(choose("openssl").stdout, "openssl\n");
    assert.equal(choose("wasm").stdout, "wasm\n");
    assert.equal(choose("").stdout, `${chooseSm4().provider.name}\n`);
    assert.match(choose("fastest").stderr, /RangeError: STRONGROOM_SM4 is none of addon, wasm, openssl/);
  });
});
