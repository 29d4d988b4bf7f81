/**
 * Reads a node key as geth does (crypto.LoadECDSA): opens the path, reads 64 bytes through a small buffer, then at most two
 * line ends up to the end. Twice, as nodes that check their configuration first do. `go-reader.ts PATH`.
 */
import { closeSync, openSync, readSync } from "node:fs";

function loadEcdsa(path: string): string {
  const fd = openSync(path, "r");
  const pieces: Buffer[] = [];
  try {
    for (;;) {
      const buffer = Buffer.alloc(16);
      const count = readSync(fd, buffer);
      if (count === 0) break;
      pieces.push(buffer.subarray(0, count));
    }
  } finally {
    closeSync(fd);
  }
  const bytes = Buffer.concat(pieces);
  if (bytes.length < 64) throw new Error("key file too short, want 64 hex characters");
  const end = bytes.subarray(64);
  if (end.length > 2 || end.some((byte) => byte !== 10 && byte !== 13)) throw new Error("key file too long");
  return bytes.toString("latin1", 0, 64);
}

const path = process.argv[2] ?? "";
process.stdout.write(`${loadEcdsa(path)}\n${loadEcdsa(path)}\n`);
