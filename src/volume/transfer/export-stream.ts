import { kernelRandomBytes } from "../../crypto/kernel-random.ts";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { hkdf, type Suite, suiteHash, suites } from "../../crypto/suite.ts";
import { VolumeError } from "../errors.ts";
import { maxHeaderBytes, readVolumeHeader, verifyVolumeHeader } from "../header.ts";
import { type BlockCipher, sealedOverheadBytes } from "../sealfs/block-cipher.ts";
import { chooseBlockCiphers } from "../sealfs/cipher/block-ciphers.ts";
import { deriveVolumeKey } from "../sub-key.ts";
import type { VolumeDescription } from "../volume.ts";
import type { ByteSource } from "./byte-source.ts";

/** Where an export goes, piece by piece; resolves when there is room for more. */
export type ExportSink = (bytes: Buffer) => Promise<void>;

const magic = Buffer.from("SRVX");
const format = 1;
const fixedBytes = 4 + 1 + 1 + 2;
const saltBytes = 32;
const lengthBytes = 4;
const lastFlag = 0x8000_0000;
/** Plaintext of a chunk, at most. */
export const chunkBytes: number = 256 * 1024;
const label = Buffer.from("strongroom/volume/export/v1");

/**
 * Writes the sealed stream of an export:
 *
 *     prelude = "SRVX" (4) ‖ format = 1 (1) ‖ zero (1) ‖ header length (u16) ‖ the volume's header file ‖ salt (32)
 *     chunk   = length word (u32) ‖ nonce (12) ‖ tag (16) ‖ ciphertext
 *     key     = HKDF(suite hash, secret = sub-key `export` of the data key, salt, info = "strongroom/volume/export/v1" ‖ H(prelude))
 *
 * The length word is the plaintext's length, at most 256 KiB, with the top bit set in the last chunk, which alone may be empty.
 * Each chunk is sealed by the suite's AEAD; associated data = the chunk's number (u64) ‖ length word. So a chunk that is altered,
 * missing, moved or of another export shows before anything in it is used, and a stream that was cut has no last chunk.
 */
export class ExportWriter implements Disposable {
  readonly #sink: ExportSink;
  readonly #cipher: BlockCipher;
  readonly #chunk = Buffer.alloc(chunkBytes);
  #filled = 0;
  #number = 0;

  private constructor(sink: ExportSink, cipher: BlockCipher) {
    this.#sink = sink;
    this.#cipher = cipher;
  }

  /** Writes the prelude. @param header - The volume's header file, verified. */
  static async begin(header: Buffer, dataKey: SecretBuffer, sink: ExportSink): Promise<ExportWriter> {
    const description = readVolumeHeader(header);
    const fixed = Buffer.alloc(fixedBytes);
    magic.copy(fixed, 0);
    fixed.writeUInt8(format, 4);
    fixed.writeUInt16BE(header.length, 6);
    const salt = kernelRandomBytes(saltBytes);
    const prelude = Buffer.concat([fixed, header, salt]);
    const cipher = await cipherOf(description, dataKey, prelude);
    await sink(prelude);
    return new ExportWriter(sink, cipher);
  }

  async write(bytes: Buffer): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      const count = bytes.copy(this.#chunk, this.#filled, at);
      this.#filled += count;
      at += count;
      if (this.#filled === chunkBytes) await this.#flush(false);
    }
  }

  /** Writes the last chunk. */
  finish(): Promise<void> {
    return this.#flush(true);
  }

  [Symbol.dispose](): void {
    this.#chunk.fill(0);
    this.#cipher[Symbol.dispose]();
  }

  #flush(last: boolean): Promise<void> {
    const out = Buffer.alloc(lengthBytes + sealedOverheadBytes + this.#filled);
    out.writeUInt32BE(this.#filled + (last ? lastFlag : 0));
    const associated = associatedData(this.#number, out.subarray(0, lengthBytes));
    this.#cipher.seal(associated, this.#chunk.subarray(0, this.#filled), out.subarray(lengthBytes));
    this.#number += 1;
    this.#filled = 0;
    return this.#sink(out);
  }
}

/** Reads the sealed stream of an export: nothing of a chunk is given out before it has proved authentic and in its place. */
export class ExportReader implements Disposable {
  readonly description: VolumeDescription;
  /** The volume's header file. */
  readonly header: Buffer;
  readonly #source: ByteSource;
  readonly #cipher: BlockCipher;
  #chunk: Buffer = Buffer.alloc(0);
  #at = 0;
  #number = 0;
  #ended = false;

  private constructor(description: VolumeDescription, header: Buffer, source: ByteSource, cipher: BlockCipher) {
    this.description = description;
    this.header = header;
    this.#source = source;
    this.#cipher = cipher;
  }

  /**
   * Reads the prelude and proves that the data key is the volume's.
   *
   * @throws {VolumeError} `VOLUME_EXPORT_DAMAGED`, `VOLUME_HEADER_INVALID`, `VOLUME_WRONG_KEY`.
   */
  static async begin(source: ByteSource, dataKey: SecretBuffer): Promise<ExportReader> {
    const fixed = await source.take(fixedBytes);
    if (fixed === undefined || !fixed.subarray(0, 4).equals(magic)) throw damaged("it does not begin with SRVX");
    if (fixed.readUInt8(4) !== format || fixed.readUInt8(5) !== 0)
      throw damaged(`its format is ${fixed.readUInt8(4)}, known is ${format}`);
    const headerBytes = fixed.readUInt16BE(6);
    if (headerBytes > maxHeaderBytes) throw damaged("its volume header is too long");
    const rest = await source.take(headerBytes + saltBytes);
    if (rest === undefined) throw damaged("it is cut");
    const header = rest.subarray(0, headerBytes);
    const description = verifyVolumeHeader(header, dataKey);
    const cipher = await cipherOf(description, dataKey, Buffer.concat([fixed, rest]));
    return new ExportReader(description, header, source, cipher);
  }

  /** The next so many bytes. @throws {VolumeError} `VOLUME_EXPORT_DAMAGED` when there are fewer, or what comes is not authentic. */
  async take(count: number): Promise<Buffer> {
    const there = this.#takeThere(count);
    if (there !== undefined) return there;
    const whole = Buffer.alloc(count);
    for (let filled = 0; filled < count; ) {
      if (this.#at === this.#chunk.length) await this.#nextChunk();
      const copied = this.#chunk.copy(whole, filled, this.#at);
      this.#at += copied;
      filled += copied;
    }
    return whole;
  }

  /** Proves that nothing follows: neither records nor bytes. @throws {VolumeError} `VOLUME_EXPORT_DAMAGED`. */
  async end(): Promise<void> {
    while (!this.#ended && this.#at === this.#chunk.length) await this.#nextChunk();
    if (this.#at !== this.#chunk.length || (await this.#source.take(1)) !== undefined)
      throw damaged("something follows its end");
  }

  [Symbol.dispose](): void {
    this.#chunk.fill(0);
    this.#cipher[Symbol.dispose]();
  }

  /** A copy: the caller may keep it over the next chunk. */
  #takeThere(count: number): Buffer | undefined {
    if (this.#chunk.length - this.#at < count) return undefined;
    const found = Buffer.from(this.#chunk.subarray(this.#at, this.#at + count));
    this.#at += count;
    return found;
  }

  async #nextChunk(): Promise<void> {
    if (this.#ended) throw damaged("it ends before it says so");
    const word = await this.#source.take(lengthBytes);
    if (word === undefined) throw damaged("it is cut");
    const last = word.readUInt32BE() >= lastFlag;
    const count = word.readUInt32BE() - (last ? lastFlag : 0);
    if (count > chunkBytes || (count === 0 && !last)) throw damaged(`chunk ${this.#number} has a length that none has`);
    const sealed = await this.#source.take(sealedOverheadBytes + count);
    if (sealed === undefined) throw damaged("it is cut");
    const chunk = Buffer.alloc(count);
    if (!this.#cipher.open(associatedData(this.#number, word), sealed, chunk))
      throw damaged(`chunk ${this.#number} is altered, or not in its place`);
    this.#chunk = chunk;
    this.#at = 0;
    this.#number += 1;
    this.#ended = last;
  }
}

/** @param why - What is wrong, in words that name no content. */
export function damaged(why: string): VolumeError {
  return new VolumeError(
    "VOLUME_EXPORT_DAMAGED",
    `the export cannot be used: ${why}; no volume was made. Take another copy of it`,
  );
}

async function cipherOf(description: VolumeDescription, dataKey: SecretBuffer, prelude: Buffer): Promise<BlockCipher> {
  const suite: Suite = suites[description.suite];
  using secret = deriveVolumeKey(description, dataKey, "export", 32);
  const salt = prelude.subarray(prelude.length - saltBytes);
  const info = Buffer.concat([label, suiteHash(suite, prelude)]);
  return (await chooseBlockCiphers(suite)).make(suite, hkdf(suite, secret, salt, info, suite.keyBytes));
}

function associatedData(number: number, lengthWord: Buffer): Buffer {
  const bytes = Buffer.alloc(8 + lengthBytes);
  bytes.writeBigUInt64BE(BigInt(number));
  lengthWord.copy(bytes, 8);
  return bytes;
}
