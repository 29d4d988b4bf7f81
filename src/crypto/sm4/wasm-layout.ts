/** Where things lie in the module's memory, in bytes. */
export const layout = {
  /** 32 words of 4 bytes, the highest first. */
  roundKeys: 0,
  /** 16 bytes, the lowest first. */
  counter: 128,
  /** A key that is being expanded. */
  key: 144,
  /** GHASH's key H. */
  hashKey: 160,
  /** GHASH's running value. */
  hash: 176,
  /** What is encrypted, decrypted or hashed, in pieces. */
  data: 256,
} as const;

export const blockBytes = 16;
export const roundKeysBytes = 128;

/** Blocks that one pass of the counter-mode kernel makes, one in each byte lane of a vector. */
export const blocksPerPass = 16;
export const passBytes: number = blocksPerPass * blockBytes;

/** The longest piece. A whole number of passes of every kernel. */
export const pieceBytes = 32_768;

/** Pages of 64 KiB that hold all of it. */
export const memoryPages: number = Math.ceil((layout.data + pieceBytes) / 65_536);
