import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { Worker } from "node:worker_threads";
import { sbox } from "../../../../native/sm4/derive-tables.ts";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { addonSm4, loadSm4Addon, sm4AddonPath } from "../../../../src/crypto/sm4/addon.ts";
import { checkSm4Provider } from "../../../../src/crypto/sm4/known-answers.ts";
import { noCompiler, productAddon } from "./addon-build.ts";

const none = Buffer.alloc(0);
const of = (byteLength: number) => Buffer.alloc(byteLength);
/** What is passed where a Uint8Array belongs; the addon must not trust TypeScript. */
const notBytes: readonly unknown[] = [
  undefined,
  null,
  5,
  "0123456789abcdef",
  {},
  { length: 16, byteLength: 16 },
  [1, 2, 3],
  new ArrayBuffer(16),
  new DataView(new ArrayBuffer(16)),
  new Uint16Array(16),
  new Int8Array(16),
  new Uint8ClampedArray(16),
  new Float64Array(2),
];

describe("the SM4 addon's arguments", { skip: noCompiler }, () => {
  if (noCompiler) return;
  const addon = productAddon();
  const held = addon.expand("scalar", of(16));
  /** Each call with one argument replaced by what the test makes. */
  const calls: Readonly<
    Record<string, { readonly names: readonly string[]; readonly run: (args: unknown[]) => unknown }>
  > = {
    ctr: { names: ["counter", "input", "output"], run: (args) => Reflect.apply(addon.ctr, undefined, [held, ...args]) },
    seal: {
      names: ["nonce", "associatedData", "input", "output", "tag"],
      run: (args) => Reflect.apply(addon.seal, undefined, [held, ...args]),
    },
    open: {
      names: ["nonce", "associatedData", "input", "tag", "output"],
      run: (args) => Reflect.apply(addon.open, undefined, [held, ...args]),
    },
  };
  const lengths: Readonly<Record<string, number>> = {
    counter: 16,
    nonce: 12,
    tag: 16,
    input: 40,
    output: 40,
    associatedData: 3,
  };
  const right = (names: readonly string[]): unknown[] => names.map((name) => of(lengths[name] ?? 0));
  const with1 = (names: readonly string[], at: number, value: unknown) => right(names).with(at, value);

  for (const [call, { names, run }] of Object.entries(calls))
    for (const [at, name] of names.entries()) {
      it(`${call} refuses a ${name} that is no Uint8Array`, () => {
        for (const value of notBytes) assert.throws(() => run(with1(names, at, value)), TypeError);
      });

      it(`${call} refuses a ${name} in shared memory, which another thread could change meanwhile`, () => {
        const shared = new Uint8Array(new SharedArrayBuffer(lengths[name] ?? 0));
        assert.throws(() => run(with1(names, at, shared)), TypeError);
      });

      it(`${call} refuses a ${name} that was transferred away`, () => {
        const gone = new Uint8Array(lengths[name] ?? 0);
        structuredClone(gone, { transfer: [gone.buffer] });
        assert.throws(() => run(with1(names, at, gone)), TypeError);
      });

      if (name !== "associatedData")
        it(`${call} refuses a ${name} of another length`, () => {
          for (const length of [0, 1, 11, 13, 15, 17, 39, 41, 4096])
            if (length !== lengths[name]) assert.throws(() => run(with1(names, at, of(length))), RangeError);
        });
    }

  it("must all be there", () => {
    for (const { names, run } of Object.values(calls)) {
      assert.throws(() => run(right(names).slice(1)), TypeError);
      assert.throws(() => run([]), TypeError);
    }
    assert.throws(() => Reflect.apply(addon.expand, undefined, ["scalar"]), TypeError);
    assert.throws(() => Reflect.apply(addon.wipe, undefined, []), TypeError);
  });

  it("may not overlap by a part of input and output", () => {
    const memory = of(200);
    for (const shift of [1, 8, 16, 39]) {
      const [low, high] = [memory.subarray(50, 90), memory.subarray(50 + shift, 90 + shift)];
      for (const [input, output] of [
        [low, high],
        [high, low],
      ] as const) {
        assert.throws(() => addon.ctr(held, of(16), input, output), RangeError);
        assert.throws(() => addon.seal(held, of(12), none, input, output, of(16)), RangeError);
        assert.throws(() => addon.open(held, of(12), none, input, of(16), output), RangeError);
      }
    }
    addon.ctr(held, of(16), memory.subarray(50, 90), memory.subarray(90, 130));
  });

  it("may be empty texts, over empty memory too", () => {
    const tag = of(16);
    addon.ctr(held, of(16), none, new Uint8Array());
    addon.seal(held, of(12), new Uint8Array(), none, none, tag);
    assert.equal(addon.open(held, of(12), none, none, tag, none), true);
  });

  it("are kept apart when counter, nonce and tag lie in the text", () => {
    const [inside, apart, tag] = [Buffer.alloc(64, 9), Buffer.alloc(64, 9), of(16)];
    addon.ctr(held, inside.subarray(0, 16), inside, inside);
    addon.ctr(held, Buffer.alloc(16, 9), apart, apart);
    assert.deepEqual(inside, apart);
    const nonce = inside.subarray(20, 32);
    addon.seal(held, Buffer.from(nonce), none, apart, apart, tag);
    const separately = Buffer.from(tag);
    addon.seal(held, nonce, none, inside, inside, tag);
    assert.deepEqual([inside, tag], [apart, separately]);
  });

  it("must name a kernel that this processor has", () => {
    for (const name of ["", "mmx", "Scalar", "scalar ", "scalar\0", "scalar\0x", "\0scalar", "x".repeat(1000)])
      assert.throws(() => addon.expand(name, of(16)), RangeError);
    for (const name of [undefined, null, 0, {}])
      assert.throws(() => Reflect.apply(addon.expand, undefined, [name, of(16)]), TypeError);
  });

  it("must have a key of 16 bytes", () => {
    for (const length of [0, 15, 17, 32]) assert.throws(() => addon.expand("scalar", of(length)), RangeError);
    for (const value of notBytes)
      assert.throws(() => Reflect.apply(addon.expand, undefined, ["scalar", value]), TypeError);
  });

  it("must be a key that the addon made", () => {
    for (const value of [undefined, null, 0, {}, of(16), "key", Symbol("key")]) {
      assert.throws(() => Reflect.apply(addon.ctr, undefined, [value, of(16), none, none]), TypeError);
      assert.throws(() => Reflect.apply(addon.wipe, undefined, [value]), TypeError);
    }
  });
});

describe("SM4 by the addon", { skip: noCompiler }, () => {
  if (noCompiler) return;
  const addon = productAddon();
  const provider = addonSm4(addon, addon.kernels()[0] ?? "scalar");

  it("passes the check that is made before its first use", () => checkSm4Provider(provider));

  it("does nothing with a key that was disposed of, or made from a wiped one", () => {
    const secret = SecretBuffer.random(16);
    const key = provider.expand(secret);
    key[Symbol.dispose]();
    key[Symbol.dispose]();
    assert.throws(() => key.ctr(of(16), none, none), /wiped/);
    assert.throws(() => key.gcmSeal(of(12), none, none, none, of(16)), /wiped/);
    assert.throws(() => key.gcmOpen(of(12), none, none, of(16), none), /wiped/);
    secret[Symbol.dispose]();
    assert.throws(() => provider.expand(secret), /wiped/);
  });

  it("does not keep the caller's key, which may be wiped at once", () => {
    const secret = SecretBuffer.take(Buffer.from("0123456789abcdeffedcba9876543210", "hex"));
    using key = provider.expand(secret);
    secret[Symbol.dispose]();
    const block = of(16);
    key.ctr(Buffer.from("0123456789abcdeffedcba9876543210", "hex"), block, block);
    assert.equal(block.toString("hex"), "681edf34d206965e86b3e94f536e4246");
  });

  it("works in threads too", async () => {
    const worker = new Worker(
      `const { parentPort, workerData } = require("node:worker_threads");
       const addon = require(workerData);
       const block = Buffer.alloc(16);
       addon.ctr(addon.expand("scalar", Buffer.alloc(16)), Buffer.alloc(16), block, block);
       parentPort.postMessage(block.toString("hex"));`,
      { eval: true, workerData: sm4AddonPath },
    );
    const answer = await new Promise((resolve, reject) => worker.once("message", resolve).once("error", reject));
    assert.equal(answer, "9f1f7bff6f5511384d9430531e538fd3");
    await worker.terminate();
  });

  for (const [how, end] of [
    ["disposed of", "addon.wipe(key);"],
    [
      "collected as garbage",
      "key = undefined; for (let i = 0; i < 10; i++) { gc(); await new Promise(setImmediate); }",
    ],
  ] as const)
    it(`leaves no round keys in memory once the key is ${how}`, () => {
      const output = runChild(`
        let key = addon.expand(addon.kernels()[0], Buffer.alloc(16));
        const before = findRoundKeys();
        ${end}
        console.log(before, findRoundKeys());`);
      assert.equal(output, "true false\n");
    });

  it("is refused where there is no addon, or another module in its place", () => {
    assert.throws(() => loadSm4Addon("/nonexistent/sm4.node"));
    const folder = mkdtempSync(join(tmpdir(), "sm4-addon-"));
    after(() => rmSync(folder, { recursive: true }));
    writeFileSync(join(folder, "half.cjs"), "module.exports = { kernels() {}, expand() {} };");
    writeFileSync(join(folder, "text.node"), "not a library");
    assert.throws(() => loadSm4Addon(join(folder, "half.cjs")), /not the SM4 addon/);
    assert.throws(() => loadSm4Addon(join(folder, "text.node")));
  });
});

/**
 * Runs a script that has `addon` and `findRoundKeys()`, which looks through its process's private memory for the round keys
 * of the key of zeros. The script knows them only inverted, so that it finds no copy of its own.
 */
function runChild(script: string): string {
  const inverted = roundKeysOfZeros().map((byte) => byte ^ 0xff);
  const program = `
    import { openSync, readFileSync, readSync, closeSync } from "node:fs";
    import { createRequire } from "node:module";
    const addon = createRequire(import.meta.url)(${JSON.stringify(sm4AddonPath)});
    const inverted = Buffer.from("${Buffer.from(inverted).toString("hex")}", "hex");
    const piece = Buffer.alloc(1 << 20);
    function findRoundKeys() {
      const memory = openSync("/proc/self/mem", "r");
      let found = false;
      for (const line of readFileSync("/proc/self/maps", "latin1").split("\\n")) {
        const range = /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(line);
        if (range === null || found) continue;
        const [start, end] = [Number.parseInt(range[1], 16), Number.parseInt(range[2], 16)];
        for (let at = start; at < end && !found; at += piece.length - 4096) {
          let length = 0;
          try {
            length = readSync(memory, piece, 0, Math.min(piece.length, end - at), at);
          } catch {
            continue;
          }
          const words = new Uint32Array(piece.buffer, piece.byteOffset, length >> 2);
          const [first, second] = [~inverted.readUInt32LE(0) >>> 0, ~inverted.readUInt32LE(4) >>> 0];
          for (let i = words.indexOf(first); i >= 0; i = words.indexOf(first, i + 1)) {
            if (words[i + 1] !== second) continue;
            found ||= inverted.every((byte, k) => piece[4 * i + k] === (byte ^ 0xff));
          }
          piece.fill(0);
        }
      }
      closeSync(memory);
      return found;
    }
    ${script}`;
  const child = spawnSync(process.execPath, ["--expose-gc", "--input-type=module", "-e", program], {
    encoding: "utf8",
  });
  assert.equal(child.stderr, "");
  return child.stdout;
}

/** The key schedule of GB/T 32907-2016, 7.3, over its own S-box, as the 32 words lie in memory. */
function roundKeysOfZeros(): readonly number[] {
  const rotate = (x: number, bits: number) => (x << bits) | (x >>> (32 - bits));
  const k = [0xa3b1bac6, 0x56aa3350, 0x677d9197, 0xb27022dc];
  const bytes = Buffer.alloc(128);
  for (let i = 0; i < 32; i++) {
    const ck = [0, 1, 2, 3].reduce((word, j) => (word << 8) | (((4 * i + j) * 7) & 0xff), 0);
    const x = (k[i + 1] ?? 0) ^ (k[i + 2] ?? 0) ^ (k[i + 3] ?? 0) ^ ck;
    const s = [24, 16, 8, 0].reduce((word, shift) => (word << 8) | sbox((x >>> shift) & 0xff), 0);
    k.push((k[i] ?? 0) ^ s ^ rotate(s, 13) ^ rotate(s, 23));
    bytes.writeUInt32LE((k[i + 4] ?? 0) >>> 0, 4 * i);
  }
  return [...bytes];
}
