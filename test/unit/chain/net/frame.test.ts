import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { encodeFrame, FrameReader, frameTypes, maxFrameBodyBytes } from "../../../../src/chain/net/frame.ts";
import { scaled, seed } from "../../../run-settings.ts";

describe("frames", () => {
  it("come out as they went in, however the stream is cut", () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 }),
        fc.infiniteStream(fc.integer({ min: 1, max: 97 })),
        (bodies, cuts) => {
          const stream = Buffer.concat(bodies.map((body) => encodeFrame(frameTypes.message, body)));
          const reader = new FrameReader(300);
          const read: Buffer[] = [];
          for (let at = 0; at < stream.length; ) {
            const length = cuts.next().value;
            reader.push(stream.subarray(at, at + length));
            at += length;
            for (let frame = reader.next(); frame !== undefined; frame = reader.next()) read.push(frame.body);
          }
          assert.deepEqual(
            read.map((body) => body.toString("hex")),
            bodies.map((body) => Buffer.from(body).toString("hex")),
          );
          assert.equal(reader.heldBytes, 0);
        },
      ),
      { seed, numRuns: scaled(2000) },
    );
  });

  for (const [what, sizes] of [
    ["single bytes", [1]],
    ["single bytes, and a larger piece before they are joined", [...new Array<number>(1000).fill(1), 1024]],
  ] as const)
    it(`of which a peer sends ${what} are kept in few pieces`, () => {
      const body = Buffer.from(Array.from({ length: 300_000 }, (_, at) => at % 251));
      const stream = encodeFrame(frameTypes.message, body);
      const reader = new FrameReader(maxFrameBodyBytes);
      let mostChunks = 0;
      for (let at = 0, piece = 0; at < stream.length - 1; piece++) {
        const end = Math.min(stream.length - 1, at + (sizes[piece % sizes.length] ?? 1));
        reader.push(stream.subarray(at, end));
        at = end;
        assert.equal(reader.next(), undefined);
        mostChunks = Math.max(mostChunks, reader.heldChunks);
      }
      assert.ok(mostChunks < 1024 + 300, `${mostChunks} pieces`);
      reader.push(stream.subarray(-1));
      assert.deepEqual(reader.next()?.body, body);
      assert.equal(reader.heldBytes, 0);
    });

  it("are joined from several parts", () => {
    const reader = new FrameReader(10);
    reader.push(encodeFrame(frameTypes.hello, Buffer.from("ab"), Buffer.from("cd")));
    assert.deepEqual(reader.next(), { type: frameTypes.hello, body: Buffer.from("abcd") });
    assert.equal(reader.next(), undefined);
  });

  it("over the limit are refused by their header, before the body has come", () => {
    const reader = new FrameReader(512);
    reader.push(Buffer.from("0000020201", "hex"));
    assert.throws(() => reader.next(), { code: "FRAME_INVALID" });
  });

  it("without a type are refused", () => {
    const reader = new FrameReader(512);
    reader.push(Buffer.from("0000000001", "hex"));
    assert.throws(() => reader.next(), { code: "FRAME_INVALID" });
  });

  for (const type of [0, 6, 255])
    it(`of the unknown type ${type} are refused`, () => {
      const reader = new FrameReader(512);
      reader.push(Buffer.concat([Buffer.from("00000001", "hex"), Buffer.of(type)]));
      assert.throws(() => reader.next(), { code: "FRAME_INVALID" });
    });

  it("of any bytes are cut or refused, never anything else", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        const reader = new FrameReader(32);
        reader.push(Buffer.from(bytes));
        try {
          while (reader.next() !== undefined);
        } catch (error) {
          assert.equal((error as { code?: string }).code, "FRAME_INVALID");
        }
      }),
      { seed, numRuns: scaled(5000) },
    );
  });

  it("over the largest size are not written", () => {
    assert.throws(() => encodeFrame(frameTypes.message, Buffer.alloc(maxFrameBodyBytes + 1)), RangeError);
  });
});
