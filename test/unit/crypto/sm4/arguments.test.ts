import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { expectCtrArguments, expectGcmArguments } from "../../../../src/crypto/sm4/arguments.ts";

const counter = new Uint8Array(16);
const nonce = new Uint8Array(12);
const tag = new Uint8Array(16);
const text = new Uint8Array(100);

function gcm(parts: Partial<Record<"nonce" | "associatedData" | "input" | "output" | "tag", Uint8Array>>): void {
  const all = { nonce, associatedData: text, input: text, output: text, tag, ...parts };
  expectGcmArguments(all.nonce, all.associatedData, all.input, all.output, all.tag);
}

describe("the arguments of SM4", () => {
  it("may lie in one memory side by side, or be the same", () => {
    const memory = new Uint8Array(100);
    expectCtrArguments(counter, memory, memory);
    expectCtrArguments(counter, memory.subarray(0, 50), memory.subarray(50));
    expectCtrArguments(counter, memory.subarray(50), memory.subarray(0, 50));
    expectCtrArguments(counter, memory.subarray(3, 3), memory.subarray(50, 50));
    gcm({});
  });

  it("are refused when the output begins inside the input or ends there", () => {
    const memory = new Uint8Array(100);
    for (const [inputAt, outputAt] of [
      [0, 1],
      [1, 0],
      [0, 49],
      [49, 0],
      [10, 26],
    ] as const) {
      const [input, output] = [memory.subarray(inputAt, inputAt + 50), memory.subarray(outputAt, outputAt + 50)];
      assert.throws(() => expectCtrArguments(counter, input, output), RangeError);
      assert.throws(() => gcm({ input, output }), RangeError);
    }
  });

  it("are refused for another length", () => {
    assert.throws(() => expectCtrArguments(nonce, text, text), RangeError);
    assert.throws(() => expectCtrArguments(counter, text, text.subarray(1)), RangeError);
    assert.throws(() => gcm({ nonce: counter }), RangeError);
    assert.throws(() => gcm({ tag: nonce }), RangeError);
    assert.throws(() => gcm({ output: new Uint8Array(101) }), RangeError);
  });

  it("are refused in memory that another thread may change or has taken", () => {
    const gone = new Uint8Array(0);
    structuredClone(gone.buffer, { transfer: [gone.buffer] });
    for (const bytes of [new Uint8Array(new SharedArrayBuffer(100)), gone]) {
      assert.throws(() => expectCtrArguments(counter, bytes, text), TypeError);
      assert.throws(() => expectCtrArguments(counter, text, bytes), TypeError);
      assert.throws(() => expectCtrArguments(bytes, text, text), TypeError);
      for (const part of ["nonce", "associatedData", "input", "output", "tag"])
        assert.throws(() => gcm({ [part]: bytes }), TypeError, part);
    }
  });

  it("are refused when they are no Uint8Array", () => {
    const odds: readonly unknown[] = [
      new Uint16Array(100),
      new DataView(new ArrayBuffer(100)),
      [],
      "a",
      null,
      undefined,
    ];
    for (const odd of [...odds, new Uint8ClampedArray(100)])
      for (const part of ["nonce", "associatedData", "input", "output", "tag"])
        assert.throws(() => gcm({ [part]: odd as Uint8Array }), TypeError, part);
  });

  it("follow resizable memory as it is now", () => {
    const memory = new ArrayBuffer(100, { maxByteLength: 200 });
    const [whole, part] = [new Uint8Array(memory), new Uint8Array(memory, 10, 80)];
    memory.resize(50);
    expectCtrArguments(counter, whole, new Uint8Array(50));
    assert.throws(() => expectCtrArguments(counter, part, new Uint8Array(80)), RangeError);
    assert.throws(() => expectCtrArguments(counter, new Uint8Array(80), part), RangeError);
  });
});
