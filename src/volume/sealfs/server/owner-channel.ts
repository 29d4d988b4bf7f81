import { SecretBuffer } from "../../../crypto/secret-buffer.ts";
import { type SocketCalls, socketErrno } from "../control/socket-calls.ts";
import { KeyTableError } from "../keys/errors.ts";
import { answerHeadBytes, encodeQuestion, longestKeyBytes, outcomes } from "./holder-messages.ts";

const deadlineMs = 30_000;
/** While an owner that did not answer in time has not been heard of again. */
const impatientMs = 1000;
const keyLengths: readonly number[] = [16, 32];

/**
 * Asks the process that opened the volume to open envelopes, and waits for each answer: nothing else is done meanwhile, so the
 * owner must not wait for the volume.
 */
export class OwnerChannel {
  readonly #calls: SocketCalls;
  readonly #descriptor: number;
  readonly #deadlineMs: number;
  /** What has come of an answer. */
  readonly #room = Buffer.alloc(answerHeadBytes + longestKeyBytes);
  #number = 0;
  #isLate = false;
  #isBroken = false;

  /** @param descriptor - Of a stream socket whose other end is the owner's. */
  constructor(calls: SocketCalls, descriptor: number, deadline: number = deadlineMs) {
    this.#calls = calls;
    this.#descriptor = descriptor;
    this.#deadlineMs = deadline;
  }

  /**
   * The key in an envelope; the caller disposes of it.
   *
   * @throws {KeyTableError} `ENVELOPE_REFUSED` when the owner says that it does not open; `PRIVATE_KEY_ABSENT` when the owner cannot say,
   *   has gone, or has not answered after 30 s.
   */
  unwrap(publicKey: Buffer, envelope: Buffer): SecretBuffer {
    this.#number = (this.#number + 1) >>> 0;
    const number = this.#number;
    const endsMs = performance.now() + (this.#isLate ? Math.min(impatientMs, this.#deadlineMs) : this.#deadlineMs);
    if (this.#isBroken || !this.#send(encodeQuestion({ number, publicKey, envelope }))) throw absent("has gone");
    try {
      while (true) {
        this.#fill(0, answerHeadBytes, endsMs);
        const keyBytes = this.#room.readUInt8(5);
        if (keyBytes > longestKeyBytes) throw this.#broken();
        this.#fill(answerHeadBytes, answerHeadBytes + keyBytes, endsMs);
        // An answer that came too late for its question is passed over.
        if (this.#room.readUInt32BE(0) === number) return this.#read(keyBytes);
      }
    } finally {
      this.#room.fill(0);
    }
  }

  #read(keyBytes: number): SecretBuffer {
    this.#isLate = false;
    const outcome = this.#room.readUInt8(4);
    if (outcome === outcomes.refused) throw new KeyTableError("ENVELOPE_REFUSED");
    if (outcome !== outcomes.opened) throw absent("cannot open envelopes now");
    if (!keyLengths.includes(keyBytes)) throw new KeyTableError("ENVELOPE_REFUSED");
    return SecretBuffer.copyOf(this.#room.subarray(answerHeadBytes, answerHeadBytes + keyBytes));
  }

  #send(question: Buffer): boolean {
    // A question is smaller than what any socket takes at once; one that is not taken finds an owner that reads none.
    return this.#calls.send(this.#descriptor, question) === question.length;
  }

  #fill(from: number, to: number, endsMs: number): void {
    for (let at = from; at < to; ) {
      const leftMs = Math.ceil(endsMs - performance.now());
      const ready = leftMs <= 0 ? 0 : this.#calls.waitForInput(this.#descriptor, leftMs);
      if (ready === -socketErrno.EINTR) continue;
      if (ready === 0) {
        this.#isLate = true;
        // Half an answer can't be told from the beginning of the next.
        if (at > 0) throw this.#broken();
        throw absent("did not answer in time");
      }
      const got = ready < 0 ? ready : this.#calls.receive(this.#descriptor, this.#room.subarray(at, to));
      if (got === -socketErrno.EAGAIN || got === -socketErrno.EINTR) continue;
      if (got <= 0) throw this.#broken();
      at += got;
    }
  }

  #broken(): KeyTableError {
    this.#isBroken = true;
    return absent("has gone");
  }
}

function absent(why: string): KeyTableError {
  return new KeyTableError(
    "PRIVATE_KEY_ABSENT",
    `the process that opened the volume, which has the master key, ${why}`,
  );
}
