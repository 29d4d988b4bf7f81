import { closeSync, openSync, writeSync } from "node:fs";
import { ReadStream } from "node:tty";
import { SecretBuffer } from "../crypto/secret-buffer.ts";
import { longestSecretBytes } from "../crypto/secret-file.ts";
import { CommandFailure, exitCodes } from "./failure.ts";

const [ctrlC, ctrlD, backspace, lineFeed, carriageReturn, erase] = [3, 4, 8, 10, 13, 127];

/**
 * Asks for several secrets on the terminal with echo off, whatever standard input and output are. What is typed or pasted ahead
 * of a question is its answer.
 */
export class TerminalPrompt implements Disposable {
  readonly #terminal: ReadStream;
  readonly #screen: number;
  readonly #chunks: AsyncIterator<Buffer>;
  #ahead: Buffer = Buffer.alloc(0);

  private constructor(keyboard: number, screen: number) {
    this.#terminal = new ReadStream(keyboard);
    this.#screen = screen;
    this.#terminal.setRawMode(true);
    this.#chunks = this.#terminal.iterator({ destroyOnReturn: false });
  }

  /** Undefined for a process without a terminal. Echo is off until the prompt is disposed of. */
  static open(): TerminalPrompt | undefined {
    try {
      return new TerminalPrompt(openSync("/dev/tty", "r"), openSync("/dev/tty", "w"));
    } catch {
      return undefined;
    }
  }

  /**
   * The line that is typed, without its end. Ctrl-D, like the end of the terminal, ends the questions.
   *
   * @returns At most 4,096 bytes, maybe none. The caller disposes of it.
   * @throws {CommandFailure} 2 when there is no answer.
   */
  async ask(question: string): Promise<SecretBuffer> {
    writeSync(this.#screen, question);
    const bytes = Buffer.allocUnsafeSlow(longestSecretBytes);
    let length = 0;
    try {
      for (;;) {
        const byte = await this.#nextByte();
        if (byte === lineFeed || byte === carriageReturn) return SecretBuffer.copyOf(bytes.subarray(0, length));
        if (byte === ctrlC || byte === ctrlD || byte === undefined)
          throw new CommandFailure(exitCodes.usage, byte === ctrlC ? "interrupted" : "the terminal gave no answer");
        if (byte === erase || byte === backspace) length = withoutLastCharacter(bytes, length);
        else if (length === longestSecretBytes)
          throw new CommandFailure(exitCodes.usage, `more than ${longestSecretBytes} bytes were typed`);
        else bytes[length++] = byte;
      }
    } finally {
      bytes.fill(0);
      writeSync(this.#screen, "\n");
    }
  }

  [Symbol.dispose](): void {
    this.#ahead.fill(0);
    this.#terminal.setRawMode(false);
    this.#terminal.destroy();
    closeSync(this.#screen);
  }

  /** Undefined when the terminal is gone. Each byte is wiped where it was read. */
  async #nextByte(): Promise<number | undefined> {
    while (this.#ahead.length === 0) {
      const next = await this.#chunks.next().catch(() => undefined);
      if (next === undefined || next.done) return undefined;
      this.#ahead = next.value;
    }
    const byte = this.#ahead[0];
    this.#ahead[0] = 0;
    this.#ahead = this.#ahead.subarray(1);
    return byte;
  }
}

/** How long the first `length` bytes of UTF-8 are without their last character, which may be several bytes. */
function withoutLastCharacter(bytes: Buffer, length: number): number {
  const isContinuation = (byte = 0) => (byte & 0b1100_0000) === 0b1000_0000;
  let left = Math.max(0, length - 1);
  while (left > 0 && isContinuation(bytes[left])) left -= 1;
  return left;
}
