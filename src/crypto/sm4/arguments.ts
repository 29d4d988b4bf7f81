import { nonceBytes, tagBytes } from "../suite.ts";

const counterBytes = 16;
/** NIST SP 800-38D, 5.2.1.1: 2³⁹ - 256 bits. */
const maxTextBytes = 2 ** 36 - 32;

/**
 * @throws {TypeError} For what is no Uint8Array, or memory that was transferred away or is shared with another thread.
 * @throws {RangeError} For a wrong length, or an output that overlaps the input without being the same memory.
 */
export function expectCtrArguments(counter: Uint8Array, input: Uint8Array, output: Uint8Array): void {
  expectBytes("counter", counter, counterBytes);
  expectPlace(input, output);
}

/** As {@link expectCtrArguments}, for GCM in either direction. */
export function expectGcmArguments(
  nonce: Uint8Array,
  associatedData: Uint8Array,
  input: Uint8Array,
  output: Uint8Array,
  tag: Uint8Array,
): void {
  expectBytes("nonce", nonce, nonceBytes);
  expectMemory("associated data", associatedData);
  expectPlace(input, output);
  if (input.length > maxTextBytes) throw new RangeError(`GCM takes at most ${maxTextBytes} bytes, got ${input.length}`);
  expectBytes("tag", tag, tagBytes);
}

/** Another thread could change shared memory between the check of a tag and the decryption. */
function expectMemory(what: string, bytes: Uint8Array): void {
  if (!(bytes instanceof Uint8Array)) throw new TypeError(`the ${what} must be a Uint8Array`);
  const memory: ArrayBufferLike = bytes.buffer;
  if (memory instanceof SharedArrayBuffer) throw new TypeError(`the ${what} lies in shared memory: copy it first`);
  if (memory.detached) throw new TypeError(`the ${what} lies in memory that was transferred away`);
}

function expectBytes(what: string, bytes: Uint8Array, length: number): void {
  expectMemory(what, bytes);
  if (bytes.length !== length) throw new RangeError(`the ${what} has ${length} bytes, got ${bytes.length}`);
}

/** The output is as long as the input, and the very same memory or none of it: a piece is written before the next is read. */
function expectPlace(input: Uint8Array, output: Uint8Array): void {
  expectMemory("input", input);
  expectBytes("output", output, input.length);
  if (
    input.buffer === output.buffer &&
    input.byteOffset !== output.byteOffset &&
    Math.abs(input.byteOffset - output.byteOffset) < input.length
  )
    throw new RangeError("input and output overlap without being the same memory");
}
