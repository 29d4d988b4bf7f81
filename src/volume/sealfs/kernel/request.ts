import type { Caller } from "../file-system.ts";
import { FsError } from "../fs-error.ts";
import { inHeaderBytes, longestNameBytes } from "./protocol.ts";

/**
 * One request as it was read from /dev/fuse: fuse_in_header, then what its opcode says. Values are read in the order in which they
 * lie there. The memory is the reader's buffer and is used again for the next request.
 */
export class Request {
  readonly length: number;
  readonly opcode: number;
  /** Answers carry it; an opaque 64-bit number. */
  readonly unique: bigint;
  readonly node: number;
  readonly #bytes: Buffer;
  #at = inHeaderBytes;

  /**
   * @param bytes - Exactly what one read gave.
   * @throws {RangeError} When it is too short for a header: then there is nobody to answer.
   * @throws {FsError} EINVAL for a node number that is none of ours.
   */
  constructor(bytes: Buffer) {
    if (bytes.length < inHeaderBytes) throw new RangeError(`a request of ${bytes.length} bytes has no header`);
    this.#bytes = bytes;
    this.length = bytes.readUInt32LE(0);
    this.opcode = bytes.readUInt32LE(4);
    this.unique = bytes.readBigUInt64LE(8);
    this.node = nodeAt(bytes, 16);
  }

  /** @throws {FsError} EINVAL when the header's length is not the request's, or it has extensions, which were not asked for. */
  checkFrame(): void {
    if (this.length !== this.#bytes.length)
      throw new FsError("EINVAL", "the length in the header is not the request's");
    if (this.#bytes.readUInt16LE(36) !== 0) throw new FsError("EINVAL", "extensions that were not negotiated");
  }

  get caller(): Caller {
    return {
      uid: this.#bytes.readUInt32LE(24),
      gid: this.#bytes.readUInt32LE(28),
      pid: this.#bytes.readUInt32LE(32),
    };
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  #take(byteLength: number): number {
    const at = this.#at;
    if (byteLength > this.#bytes.length - at) throw new FsError("EINVAL", "the request is cut short");
    this.#at = at + byteLength;
    return at;
  }

  skip(byteLength: number): void {
    this.#take(byteLength);
  }

  u32(): number {
    return this.#bytes.readUInt32LE(this.#take(4));
  }

  u64(): bigint {
    return this.#bytes.readBigUInt64LE(this.#take(8));
  }

  i64(): bigint {
    return this.#bytes.readBigInt64LE(this.#take(8));
  }

  /** A node that the file system gave out. @throws {FsError} EINVAL when it can't be one. */
  nodeNumber(): number {
    return nodeAt(this.#bytes, this.#take(8));
  }

  /** A handle that the file system gave out. @throws {FsError} EBADF when it can't be one. */
  handle(): number {
    const value = u64At(this.#bytes, this.#take(8));
    if (value > Number.MAX_SAFE_INTEGER) throw new FsError("EBADF", "a handle that was never given out");
    return value;
  }

  /** A place in a file or a length. @throws {FsError} EFBIG beyond 2^53 - 1. */
  offset(): number {
    const value = u64At(this.#bytes, this.#take(8));
    if (value > Number.MAX_SAFE_INTEGER) throw new FsError("EFBIG", "a place beyond 2^53 - 1");
    return value;
  }

  /** A count, cut off at 2^53 - 1. */
  count(): number {
    return Math.min(u64At(this.#bytes, this.#take(8)), Number.MAX_SAFE_INTEGER);
  }

  /** Bytes in the reader's buffer: valid until the next request. */
  bytes(byteLength: number): Buffer {
    const at = this.#take(byteLength);
    return this.#bytes.subarray(at, at + byteLength);
  }

  /**
   * A string up to its NUL byte.
   *
   * @throws {FsError} EINVAL without a NUL byte or when empty; ENAMETOOLONG.
   */
  text(mostBytes: number): Buffer {
    const end = this.#bytes.indexOf(0, this.#at);
    if (end < 0) throw new FsError("EINVAL", "a string without an end");
    const value = this.#bytes.subarray(this.#at, end);
    this.#at = end + 1;
    if (value.length === 0) throw new FsError("EINVAL", "an empty string");
    if (value.length > mostBytes) throw new FsError("ENAMETOOLONG");
    return value;
  }

  /** A name in a folder. @throws {FsError} EINVAL also for `.`, `..` and anything with a slash. */
  name(): string {
    const name = this.text(longestNameBytes).toString("latin1");
    if (name === "." || name === ".." || name.includes("/")) throw new FsError("EINVAL", "not a name in a folder");
    return name;
  }

  /** @throws {FsError} EINVAL when bytes are left over. */
  end(): void {
    if (this.left !== 0) throw new FsError("EINVAL", "the request is too long");
  }
}

function u64At(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at + 4) * 2 ** 32 + bytes.readUInt32LE(at);
}

function nodeAt(bytes: Buffer, at: number): number {
  const node = u64At(bytes, at);
  if (node > Number.MAX_SAFE_INTEGER) throw new FsError("EINVAL", "a node that was never given out");
  return node;
}
