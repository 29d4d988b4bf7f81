import { type Context, encodeContext } from "./context.ts";
import { type Suite, suiteHash } from "./suite.ts";

/** A context as a box needs it: its bytes and their hash. */
export interface EncodedContext {
  readonly bytes: Buffer;
  readonly hash: Buffer;
}

/** Contexts are public and few (a node's are always the same), so their encodings are kept; the oldest goes first. */
const maxKnown = 4096;
const maxKnownLength = 1024;
const known = new Map<string, EncodedContext>();

/**
 * The bytes of a context and their hash by the suite, remembered for short contexts.
 *
 * @throws {CryptoError} `CONTEXT_INVALID`.
 */
export function encodedContext(suite: Suite, context: Context): EncodedContext {
  const name = `${suite.id}${JSON.stringify(context)}`;
  const found = known.get(name);
  if (found !== undefined) return found;
  const bytes = encodeContext(context);
  const encoded = { bytes, hash: suiteHash(suite, bytes) };
  if (name.length > maxKnownLength) return encoded;
  if (known.size >= maxKnown)
    for (const oldest of known.keys()) {
      known.delete(oldest);
      break;
    }
  known.set(name, encoded);
  return encoded;
}
