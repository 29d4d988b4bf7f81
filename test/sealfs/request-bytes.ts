/** Makes requests as the kernel does: fuse_in_header, then fields and bytes. */
export interface RequestParts {
  readonly opcode: number;
  readonly node?: number | bigint;
  readonly unique?: bigint;
  readonly uid?: number;
  readonly gid?: number;
  readonly body?: Buffer;
}

export function requestBytes({ opcode, node = 1, unique = 7n, uid = 0, gid = 0, body }: RequestParts): Buffer {
  const bytes = Buffer.concat([Buffer.alloc(40), body ?? Buffer.alloc(0)]);
  bytes.writeUInt32LE(bytes.length, 0);
  bytes.writeUInt32LE(opcode, 4);
  bytes.writeBigUInt64LE(unique, 8);
  bytes.writeBigUInt64LE(BigInt(node), 16);
  bytes.writeUInt32LE(uid, 24);
  bytes.writeUInt32LE(gid, 28);
  return bytes;
}

/** Numbers are 32-bit fields, bigints 64-bit fields, strings end with a NUL byte. */
export function fields(...values: readonly (number | bigint | string | Buffer)[]): Buffer {
  return Buffer.concat(
    values.map((value) => {
      if (typeof value === "string") return Buffer.from(`${value}\0`, "latin1");
      if (typeof value !== "number" && typeof value !== "bigint") return value;
      const bytes = Buffer.alloc(typeof value === "number" ? 4 : 8);
      if (typeof value === "number") bytes.writeUInt32LE(value);
      else bytes.writeBigUInt64LE(BigInt.asUintN(64, value));
      return bytes;
    }),
  );
}

/** INIT as Linux 6.18 sends it, with every flag on offer. */
export function initRequest(major = 7, minor = 44, flags = 0xffffffff): Buffer {
  return requestBytes({ opcode: 26, node: 0, body: fields(major, minor, 131_072, flags, 0, Buffer.alloc(44)) });
}

export interface Answer {
  /** Positive errno, 0 for success. */
  readonly error: number;
  readonly unique: bigint;
  readonly body: Buffer;
}

/** Reads what a handler left in its memory. @returns Undefined when there was no answer. */
export function answerOf(memory: Buffer, length: number): Answer | undefined {
  if (length === 0) return undefined;
  if (memory.readUInt32LE(0) !== length) throw new Error("the answer's header names another length");
  return {
    error: Math.abs(memory.readInt32LE(4)),
    unique: memory.readBigUInt64LE(8),
    body: Buffer.from(memory.subarray(16, length)),
  };
}
