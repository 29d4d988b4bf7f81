import { hash } from "node:crypto";

/** What a row holds: some hundred to some thousand bytes, known from its number. */
export function rowValue(row: number): Buffer {
  const block = hash("sha256", String(row), "buffer");
  return Buffer.concat(Array.from({ length: 1 + ((row * 37) % 97) }, () => block));
}
