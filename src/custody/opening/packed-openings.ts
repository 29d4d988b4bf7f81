import { CryptoError } from "../../crypto/errors.ts";
import type { EncodedContext } from "../../crypto/known-contexts.ts";
import { openBoundBox, type ReadBox, readBox } from "../../crypto/sealed-box.ts";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";

/** A wrapped data key, with what opens it. */
export interface Opening {
  readonly box: ReadBox;
  readonly context: EncodedContext;
  readonly secret: SecretBuffer;
}

/** @throws {CryptoError} `BOX_REFUSED`. */
export function openDataKey({ box, context, secret }: Opening): SecretBuffer {
  return openBoundBox(box, "dataKey", secret, context);
}

const numberBytes = 4;
/** In place of a length: the box was refused. */
const refused = 0xffff_ffff;

/**
 * Openings in one block, which moves to another thread and leaves no copy behind: of each the secret, the context, its
 * hash and the box, each after its length (u32).
 */
export function packOpenings(openings: readonly Opening[]): ArrayBuffer {
  let length = 0;
  for (const { box, context, secret } of openings)
    length += 4 * numberBytes + secret.byteLength + context.bytes.length + context.hash.length + box.whole.length;
  const block = Buffer.allocUnsafeSlow(length);
  let at = 0;
  const put = (bytes: Uint8Array) => {
    at = block.writeUInt32LE(bytes.length, at);
    block.set(bytes, at);
    at += bytes.length;
  };
  for (const { box, context, secret } of openings) {
    secret.expose(put);
    put(context.bytes);
    put(context.hash);
    put(box.whole);
  }
  return block.buffer;
}

/** Opens each box of a block, and wipes the block. Of each: the length (u32) and what was in it, or that it was refused. */
export function openPacked(packed: ArrayBuffer): ArrayBuffer {
  const block = Buffer.from(packed);
  const opened: (SecretBuffer | undefined)[] = [];
  let at = 0;
  const take = () => {
    const start = at + numberBytes;
    at = start + block.readUInt32LE(at);
    return block.subarray(start, at);
  };
  try {
    while (at < block.length) {
      using secret = SecretBuffer.copyOf(take());
      const context = { bytes: take(), hash: take() };
      opened.push(openedUnlessRefused({ box: readBox(take()), context, secret }));
    }
    return packOpened(opened);
  } finally {
    block.fill(0);
    for (const each of opened) each?.[Symbol.dispose]();
  }
}

function openedUnlessRefused(opening: Opening): SecretBuffer | undefined {
  try {
    return openDataKey(opening);
  } catch (error) {
    if (error instanceof CryptoError && error.code === "BOX_REFUSED") return undefined;
    throw error;
  }
}

function packOpened(opened: readonly (SecretBuffer | undefined)[]): ArrayBuffer {
  let length = 0;
  for (const each of opened) length += numberBytes + (each?.byteLength ?? 0);
  const block = Buffer.allocUnsafeSlow(length);
  let at = 0;
  for (const each of opened) {
    at = block.writeUInt32LE(each?.byteLength ?? refused, at);
    each?.expose((bytes) => block.set(bytes, at));
    at += each?.byteLength ?? 0;
  }
  return block.buffer;
}

/** What came of the openings, in their order; undefined for a refused one. Wipes the block. */
export function unpackOpened(packed: ArrayBuffer): (SecretBuffer | undefined)[] {
  const block = Buffer.from(packed);
  const opened: (SecretBuffer | undefined)[] = [];
  for (let at = 0; at < block.length; ) {
    const length = block.readUInt32LE(at);
    at += numberBytes;
    opened.push(length === refused ? undefined : SecretBuffer.copyOf(block.subarray(at, at + length)));
    at += length === refused ? 0 : length;
  }
  block.fill(0);
  return opened;
}
