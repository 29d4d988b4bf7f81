import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { assembleModule, doWhile, signed, unsigned, WasmFunction } from "../../../../src/crypto/sm4/wasm-assembler.ts";
import { i8x16, i32, i64, v128 } from "../../../../src/crypto/sm4/wasm-instructions.ts";

declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: unknown };
};

/** Runs one function without parameters, and shows the memory after it. */
function memoryAfter(build: (body: WasmFunction) => void): Buffer {
  const body = new WasmFunction("run");
  build(body);
  const module = new WebAssembly.Module(assembleModule([body], 1));
  const { run, memory } = new WebAssembly.Instance(module).exports as {
    run: () => void;
    memory: { buffer: ArrayBuffer };
  };
  run();
  return Buffer.from(memory.buffer);
}

describe("the assembler of WebAssembly modules", () => {
  it("writes unsigned numbers as the specification's examples of LEB128", () => {
    assert.deepEqual(unsigned(0), [0]);
    assert.deepEqual(unsigned(127), [0x7f]);
    assert.deepEqual(unsigned(128), [0x80, 1]);
    assert.deepEqual(unsigned(624485), [0xe5, 0x8e, 0x26]);
    assert.deepEqual(unsigned(2 ** 32 - 1), [0xff, 0xff, 0xff, 0xff, 0x0f]);
  });

  it("writes signed numbers with their sign in the last byte's second bit", () => {
    assert.deepEqual(signed(63n), [0x3f]);
    assert.deepEqual(signed(64n), [0xc0, 0]);
    assert.deepEqual(signed(-1n), [0x7f]);
    assert.deepEqual(signed(-64n), [0x40]);
    assert.deepEqual(signed(-123456n), [0xc0, 0xbb, 0x78]);
  });

  it("refuses what is no unsigned whole number", () => {
    for (const value of [-1, 0.5, Number.NaN, 2 ** 53]) assert.throws(() => unsigned(value), RangeError);
  });

  it("refuses a parameter after a local, whose number it would take", () => {
    const body = new WasmFunction("late");
    body.local("i32");
    assert.throws(() => body.parameter("i32"), /late/);
  });

  it("refuses a vector of another length than 16", () => {
    assert.throws(() => v128.const([1, 2, 3]), RangeError);
  });

  it("makes functions that are called by name with their parameters", () => {
    const put = new WasmFunction("put");
    const address = put.parameter("i32");
    const value = put.parameter("i32");
    put.append(i32.store(address.get, 4, value.get));
    const nothing = new WasmFunction("nothing");
    const module = new WebAssembly.Module(assembleModule([nothing, put], 1));
    const instance = new WebAssembly.Instance(module).exports as {
      put: (address: number, value: number) => void;
      nothing: () => void;
      memory: { buffer: ArrayBuffer };
    };
    instance.nothing();
    instance.put(8, 0x01020304);
    assert.equal(Buffer.from(instance.memory.buffer).readUInt32LE(12), 0x01020304);
  });

  it("repeats a loop until its condition is zero", () => {
    const memory = memoryAfter((body) => {
      const count = body.local("i32");
      const total = body.local("i32");
      body.append(
        count.set(i32.const(10)),
        doWhile(total.set(i32.add(total.get, count.get)), count.tee(i32.sub(count.get, i32.const(1)))),
        i32.store(i32.const(0), 0, total.get),
      );
    });
    assert.equal(memory.readUInt32LE(0), 55);
  });

  it("takes 64-bit constants with their top bit set", () => {
    const memory = memoryAfter((body) =>
      body.append(
        i64.store(i32.const(0), 0, i64.const(0xfedcba9876543210n)),
        i64.store(i32.const(0), 8, i64.const(1n)),
      ),
    );
    assert.equal(memory.readBigUInt64LE(0), 0xfedcba9876543210n);
    assert.equal(memory.readBigUInt64LE(8), 1n);
  });

  it("looks bytes up by either shuffle alike, with 0 for an index whose top bit is set", () => {
    const table = Array.from({ length: 16 }, (_, index) => 100 + index);
    const indices = [15, 0, 3, 0x80, 7, 0xff, 1, 2, 4, 5, 6, 8, 9, 10, 0x8f, 11];
    const expected = indices.map((index) => table[index] ?? 0);
    for (const swizzle of [i8x16.swizzle, i8x16.relaxedSwizzle]) {
      const memory = memoryAfter((body) =>
        body.append(v128.store(i32.const(0), 0, swizzle(v128.const(table), v128.const(indices)))),
      );
      assert.deepEqual([...memory.subarray(0, 16)], expected);
    }
  });

  it("makes a memory that cannot grow", () => {
    const module = new WebAssembly.Module(assembleModule([], 1));
    const { memory } = new WebAssembly.Instance(module).exports as { memory: { grow: (pages: number) => number } };
    assert.throws(() => memory.grow(1), RangeError);
  });
});
