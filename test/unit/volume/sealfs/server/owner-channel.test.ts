import assert from "node:assert/strict";
import { closeSync, readSync, writeSync } from "node:fs";
import { describe, it, type TestContext } from "node:test";
import { loadSocketCalls } from "../../../../../src/volume/sealfs/control/socket-calls.ts";
import { encodeAnswer, readQuestion } from "../../../../../src/volume/sealfs/server/holder-messages.ts";
import { OwnerChannel } from "../../../../../src/volume/sealfs/server/owner-channel.ts";

const publicKey = Buffer.alloc(65, 4);
const envelope = Buffer.from("an envelope");
const key = Buffer.alloc(16, 0x5a);
const absent = { code: "PRIVATE_KEY_ABSENT" };
const refused = { code: "ENVELOPE_REFUSED" };
/** Long enough that nothing here waits for it unless it has to. */
const patientMs = 30_000;
const shortMs = 40;

interface Pair {
  readonly channel: OwnerChannel;
  /** The owner's end. */
  readonly owner: number;
  /** What the owner has said by the time that it is asked. */
  say(...answers: readonly Buffer[]): void;
  end(): void;
  unwrap(): Buffer;
}

async function pair(t: TestContext, deadlineMs: number): Promise<Pair> {
  const { default: koffi } = await import("koffi");
  const socketpair = koffi.load("libc.so.6").func("int socketpair(int, int, int, uint8_t *)");
  const descriptors = Buffer.alloc(8);
  assert.equal(socketpair(1, 1, 0, descriptors), 0);
  const [server, owner] = [descriptors.readInt32LE(0), descriptors.readInt32LE(4)];
  const open = new Set([server, owner]);
  const close = (descriptor: number) => {
    if (open.delete(descriptor)) closeSync(descriptor);
  };
  t.after(() => [server, owner].forEach(close));
  const channel = new OwnerChannel(await loadSocketCalls(), server, deadlineMs);
  return {
    channel,
    owner,
    say: (...answers) => answers.forEach((bytes) => void writeSync(owner, bytes)),
    end: () => close(owner),
    unwrap() {
      using opened = channel.unwrap(publicKey, envelope);
      return opened.expose((bytes) => Buffer.from(bytes));
    },
  };
}

describe("a server that asks the owner of its master key", () => {
  it("says whose envelope it is, and gives the key that is answered", async (t) => {
    const { say, unwrap, owner } = await pair(t, patientMs);
    for (const [number, bytes] of [key, Buffer.alloc(32, 1)].entries()) {
      say(encodeAnswer(number + 1, "opened", bytes));
      assert.deepEqual(unwrap(), bytes);
      const asked = Buffer.alloc(4096);
      const { question } = readQuestion(asked.subarray(0, readSync(owner, asked))) ?? assert.fail();
      assert.deepEqual(question, { number: number + 1, publicKey, envelope });
    }
  });

  it("gives up when its time is over, asks on with less patience, and takes no answer for another's", async (t) => {
    const { say, unwrap } = await pair(t, shortMs);
    assert.throws(unwrap, { ...absent, message: /did not answer in time/ });
    assert.throws(unwrap, { ...absent, message: /did not answer in time/ });
    // The answers of the first two questions come too late, and are other keys.
    say(encodeAnswer(1, "opened", Buffer.alloc(16, 1)), encodeAnswer(2, "opened", Buffer.alloc(16, 2)));
    say(encodeAnswer(3, "opened", key));
    assert.deepEqual(unwrap(), key);
    say(encodeAnswer(2, "opened", Buffer.alloc(16, 2)), encodeAnswer(5, "opened", Buffer.alloc(16, 5)));
    assert.throws(unwrap, absent);
  });

  it("is refused what the owner refuses, and goes on asking", async (t) => {
    const { say, unwrap } = await pair(t, patientMs);
    say(encodeAnswer(1, "refused"));
    assert.throws(unwrap, refused);
    say(encodeAnswer(2, "unavailable"));
    assert.throws(unwrap, { ...absent, message: /cannot open envelopes now/ });
    say(encodeAnswer(3, "opened", key));
    assert.deepEqual(unwrap(), key);
  });

  it("takes no key of another length, and none that is not said to be opened", async (t) => {
    const { say, unwrap } = await pair(t, patientMs);
    let number = 0;
    for (const bytes of [0, 1, 15, 17, 24, 31]) {
      number += 1;
      say(encodeAnswer(number, "opened", Buffer.alloc(bytes)));
      assert.throws(unwrap, refused, `${bytes} bytes`);
    }
    for (const outcome of [0, 4, 255]) {
      number += 1;
      const answer = encodeAnswer(number, "opened", key);
      answer.writeUInt8(outcome, 4);
      say(answer);
      assert.throws(unwrap, absent, `outcome ${outcome}`);
    }
    say(encodeAnswer(number + 1, "opened", key));
    assert.deepEqual(unwrap(), key);
  });

  it("asks no more once an answer was longer than any, or broke off", async (t) => {
    const long = encodeAnswer(1, "opened", key);
    long.writeUInt8(33, 5);
    const whole = encodeAnswer(1, "opened", key);
    for (const [what, answer] of [
      ["longer", long],
      ["half a head", whole.subarray(0, 3)],
      ["half a key", whole.subarray(0, 12)],
    ] as const) {
      const { say, unwrap } = await pair(t, shortMs);
      say(answer);
      assert.throws(unwrap, absent, what);
      say(encodeAnswer(2, "opened", key), encodeAnswer(1, "opened", key));
      assert.throws(unwrap, { ...absent, message: /has gone/ }, what);
    }
  });

  it("finds an owner that has died, before it is asked and in the middle of its answer", async (t) => {
    for (const said of [
      Buffer.alloc(0),
      encodeAnswer(1, "opened", key).subarray(0, 5),
      Buffer.alloc(6 + 16).fill(0, 0, 6),
    ]) {
      const { say, end, unwrap } = await pair(t, patientMs);
      if (said.length > 0) say(said);
      end();
      assert.throws(unwrap, { ...absent, message: /has gone/ });
      assert.throws(unwrap, { ...absent, message: /has gone/ });
    }
  });
});
