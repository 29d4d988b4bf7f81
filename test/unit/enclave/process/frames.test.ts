import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  encodeFrame,
  type Frame,
  FrameCutter,
  FrameError,
  longestFrameBytes,
  mostParts,
} from "../../../../src/enclave/process/frames.ts";

const call: Frame = {
  kind: "call",
  number: 7,
  parts: [Buffer.from("status"), Buffer.alloc(0), Buffer.from("argument")],
};
const answer: Frame = { kind: "answer", number: 0xffff_ffff, parts: [] };

describe("frames between an enclave and its host", () => {
  test("come whole out of one piece", () => {
    assert.deepEqual(new FrameCutter().push(Buffer.concat([encodeFrame(call), encodeFrame(answer)])), [call, answer]);
  });

  test("come out of single bytes, each as soon as its last one is there", () => {
    const bytes = Buffer.concat([encodeFrame(call), encodeFrame(answer)]);
    const cutter = new FrameCutter();
    const cameAfter: [number, Frame][] = [];
    for (const [index, byte] of bytes.entries())
      for (const frame of cutter.push(Buffer.of(byte))) cameAfter.push([index + 1, frame]);
    assert.deepEqual(cameAfter, [
      [encodeFrame(call).length, call],
      [bytes.length, answer],
    ]);
  });

  test("of a length beyond the limit are refused before their bytes arrive", () => {
    const head = Buffer.alloc(4);
    head.writeUInt32BE(longestFrameBytes + 1);
    assert.throws(() => new FrameCutter().push(head), FrameError);
  });

  test("too short for a kind and a number are refused", () => {
    for (const length of [0, 1, 4]) {
      const head = Buffer.alloc(4);
      head.writeUInt32BE(length);
      assert.throws(() => new FrameCutter().push(head), FrameError, `length ${length}`);
    }
  });

  test("of an unknown kind are refused", () => {
    const bytes = encodeFrame(call);
    bytes[4] = 3;
    assert.throws(() => new FrameCutter().push(bytes), FrameError);
  });

  test("whose part reaches past the frame, or whose last length is cut, are refused", () => {
    const long = encodeFrame(call);
    long.writeUInt32BE(long.length, 9);
    assert.throws(() => new FrameCutter().push(long), FrameError);
    const cut = Buffer.concat([encodeFrame(answer), Buffer.of(0, 0)]);
    cut.writeUInt32BE(cut.length - 4);
    assert.throws(() => new FrameCutter().push(cut), FrameError);
  });

  test("of more parts than the limit are neither written nor read", () => {
    const parts = new Array<Buffer>(mostParts + 1).fill(Buffer.alloc(0));
    assert.throws(() => encodeFrame({ kind: "answer", number: 1, parts }), FrameError);
    const bytes = Buffer.concat([encodeFrame({ kind: "answer", number: 1, parts: parts.slice(1) }), Buffer.alloc(4)]);
    bytes.writeUInt32BE(bytes.length - 4);
    assert.throws(() => new FrameCutter().push(bytes), FrameError);
  });

  test("longer than the limit are not written", () => {
    assert.throws(
      () => encodeFrame({ kind: "answer", number: 1, parts: [Buffer.alloc(longestFrameBytes)] }),
      FrameError,
    );
  });
});
