import assert from "node:assert/strict";
import { Socket } from "node:net";
import { Duplex } from "node:stream";
import { describe, it } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { FramePipe } from "../../../../src/devices/native/frame-pipe.ts";

/** A socket's writing side that keeps what it is given. */
class KeptWrites extends Duplex {
  readonly chunks: Buffer[] = [];

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, written: () => void): void {
    this.chunks.push(Buffer.from(chunk));
    written();
  }
}

function makePipe(): { readonly pipe: FramePipe; readonly kept: KeptWrites } {
  const kept = new KeptWrites();
  assert.ok(!(kept instanceof Socket));
  return { pipe: new FramePipe(kept as unknown as Socket), kept };
}

function sendFrame(pipe: FramePipe, type: number): void {
  pipe.writer.begin(type, 0);
  pipe.schedule();
}

function holdUpTheTurn(milliseconds: number): void {
  const untilMs = performance.now() + milliseconds;
  while (performance.now() < untilMs);
}

const frameBytes = 5;

describe("frames over a socket", () => {
  it("leave in one write at the end of a short turn", async () => {
    const { pipe, kept } = makePipe();
    pipe.writer.begin(1, 0);
    pipe.writer.begin(2, 0);
    sendFrame(pipe, 3);
    assert.equal(kept.chunks.length, 0);
    await nextTurn();
    assert.deepEqual(
      kept.chunks.map((chunk) => chunk.length),
      [3 * frameBytes],
    );
  });

  it("leave before the end of a turn that is long, all of them once and in their order", async () => {
    const { pipe, kept } = makePipe();
    sendFrame(pipe, 1);
    holdUpTheTurn(2);
    sendFrame(pipe, 2);
    assert.equal(kept.chunks.length, 1);
    sendFrame(pipe, 3);
    await nextTurn();
    await nextTurn();
    const sent = Buffer.concat(kept.chunks);
    assert.deepEqual([sent[4], sent[4 + frameBytes], sent[4 + 2 * frameBytes], sent.length], [1, 2, 3, 3 * frameBytes]);
  });

  it("wait again for a turn's end after a long turn's part has left", async () => {
    const { pipe, kept } = makePipe();
    sendFrame(pipe, 1);
    holdUpTheTurn(2);
    sendFrame(pipe, 2);
    await nextTurn();
    const before = kept.chunks.length;
    sendFrame(pipe, 3);
    assert.equal(kept.chunks.length, before);
    await nextTurn();
    assert.equal(kept.chunks.length, before + 1);
  });

  it("are dropped for a socket that has ended, and their bytes wiped", async () => {
    const { pipe, kept } = makePipe();
    kept.destroy();
    pipe.writer.begin(1, 4);
    pipe.writer.u32(0x01020304);
    pipe.schedule();
    await nextTurn();
    assert.equal(kept.chunks.length, 0);
    assert.equal(pipe.writer.byteLength, 0);
    pipe.writer.begin(1, 4);
    pipe.writer.u32(0);
    assert.ok(!pipe.writer.take().includes(Buffer.of(4, 3, 2, 1)));
  });
});
