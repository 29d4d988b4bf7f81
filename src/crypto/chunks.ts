/**
 * Joins the chunks of what may be a secret in one allocation of its own and wipes them.
 *
 * @param length - Of all chunks together, in bytes.
 */
export function joinAndWipe(chunks: readonly Buffer[], length: number): Buffer {
  const joined = Buffer.allocUnsafeSlow(length);
  let at = 0;
  for (const chunk of chunks) {
    joined.set(chunk, at);
    at += chunk.length;
  }
  wipeAll(chunks);
  return joined;
}

/** Wipes chunks that nobody will join. */
export function wipeAll(chunks: readonly Buffer[]): void {
  for (const chunk of chunks) chunk.fill(0);
}
