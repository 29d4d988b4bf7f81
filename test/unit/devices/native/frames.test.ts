import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DeviceFault } from "../../../../src/devices/native/fault.ts";
import { FrameError, FrameReader, FrameWriter, longestFrameBytes } from "../../../../src/devices/native/frames.ts";
import { readFault, writeFault } from "../../../../src/devices/native/messages.ts";
import { scaled, seed } from "../../../run-settings.ts";

function header(length: number, type = 1): Buffer {
  const bytes = Buffer.alloc(5);
  bytes.writeUInt32LE(length);
  bytes[4] = type;
  return bytes;
}

test("frames come out as they went in, wherever the pipe cuts them", () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.tuple(fc.integer({ min: 0, max: 255 }), fc.array(fc.uint8Array({ maxLength: 3_000 }), { maxLength: 4 })),
        {
          maxLength: 12,
        },
      ),
      fc.array(fc.integer({ min: 1, max: 5_000 }), { minLength: 1, maxLength: 20 }),
      (frames, cuts) => {
        const writer = new FrameWriter();
        for (const [type, strings] of frames) {
          writer.begin(
            type,
            strings.reduce((bytes, { length }) => bytes + 4 + length, 0),
          );
          for (const string of strings) writer.bytes(string);
        }
        const bytes = Buffer.from(writer.take());
        const reader = new FrameReader();
        const read: [number, Buffer[]][] = [];
        for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
          const end = at + (cuts[turn % cuts.length] ?? 1);
          reader.push(Buffer.from(bytes.subarray(at, end)), (type, body) => read.push([type, body.rest()]));
          at = end;
        }
        assert.deepEqual(
          read,
          frames.map(([type, strings]) => [type, strings.map((string) => Buffer.from(string))]),
        );
      },
    ),
    { seed, numRuns: scaled(2_000) },
  );
});

test("what was written and what was read are wiped", () => {
  const writer = new FrameWriter();
  writer.begin(1, 4 + 6);
  writer.bytes(Buffer.from("secret"));
  const written = writer.take();
  const arrived = Buffer.from(written);
  const copies: Buffer[] = [];
  new FrameReader().push(arrived, (_, body) => copies.push(body.bytes()));
  writer.giveBack(written);
  assert.equal(copies[0]?.toString(), "secret");
  assert(arrived.every((byte) => byte === 0));
  assert(written.every((byte) => byte === 0));
});

test("what arrived is wiped even when it is refused", () => {
  const bytes = Buffer.concat([header(0), Buffer.from("secret")]);
  assert.throws(() => new FrameReader().push(bytes, () => undefined), FrameError);
  assert(bytes.every((byte) => byte === 0));
});

for (const length of [0, longestFrameBytes + 1, 0xffff_ffff])
  test(`a frame that says it has ${length} bytes is refused before anything is kept for it`, () => {
    assert.throws(() => new FrameReader().push(header(length), () => undefined), FrameError);
  });

test("a frame above 16 MiB is not begun", () => {
  assert.throws(() => new FrameWriter().begin(1, longestFrameBytes), RangeError);
});

test("a string that reaches beyond its frame is refused", () => {
  const bytes = Buffer.concat([header(1 + 4 + 2), Buffer.from([3, 0, 0, 0, 1, 2]), header(1)]);
  assert.throws(() => new FrameReader().push(Buffer.from(bytes), (_, body) => body.bytes()), FrameError);
  assert.throws(() => new FrameReader().push(Buffer.from(bytes), (_, body) => body.rest()), FrameError);
});

test("numbers and lengths that are cut are refused", () => {
  const bytes = Buffer.concat([header(1 + 3), Buffer.from([3, 0, 0])]);
  assert.throws(() => new FrameReader().push(Buffer.from(bytes), (_, body) => body.u32()), FrameError);
  assert.throws(() => new FrameReader().push(Buffer.from(bytes), (_, body) => body.rest()), FrameError);
});

test("fields that nobody reads are refused", () => {
  const bytes = Buffer.concat([header(1 + 3), Buffer.from([3, 0, 0])]);
  assert.throws(
    () =>
      new FrameReader().push(bytes, (_, body) => {
        body.u16();
        body.end();
      }),
    FrameError,
  );
});

function carried(fault: DeviceFault) {
  const writer = new FrameWriter();
  writeFault(writer, 8, undefined, undefined, fault);
  const facts: ReturnType<typeof readFault>[] = [];
  new FrameReader().push(Buffer.from(writer.take()), (_, body) => facts.push(readFault(body)));
  return facts[0];
}

test("a fault crosses whole", () => {
  const facts = { kind: "comm", code: "0x01000003", message: "no answer", evict: false, retryable: true } as const;
  assert.deepEqual(carried(new DeviceFault(facts)), { ...facts, follows: false });
  assert.deepEqual(carried(new DeviceFault({ ...facts, follows: true })), { ...facts, follows: true });
});

test("a fault with very long texts crosses with their beginnings", () => {
  const fault = carried(new DeviceFault({ kind: "device", code: "C".repeat(500), message: "é".repeat(5_000) }));
  assert.equal(fault?.code.length, 64);
  assert.equal(fault?.message.length, 1_000);
});

test("a fault of a kind that is not one is refused", () => {
  const bytes = Buffer.concat([header(1 + 2 + 4 + 4), Buffer.from([200, 0, 0, 0, 0, 0, 0, 0, 0, 0])]);
  assert.throws(() => new FrameReader().push(bytes, (_, body) => readFault(body)), FrameError);
});
