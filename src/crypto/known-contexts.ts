import { type Context, encodeContext } from "./context.ts";
import { type Suite, suiteHash } from "./suite.ts";

/** A context as a box needs it: its bytes and their hash. */
export interface EncodedContext {
  readonly bytes: Buffer;
  readonly hash: Buffer;
}

interface KnownContext {
  readonly bytes: Buffer;
  /** By the suite's id. */
  readonly bySuite: Map<number, EncodedContext>;
}

/** Contexts are public and few (a node's are always the same), so their encodings are kept; the oldest goes first. */
const maxKnown = 4096;
const maxKnownLength = 1024;
const known = new Map<string, KnownContext>();

/**
 * The bytes of a context and their hash by the suite, remembered for short contexts.
 *
 * @throws {CryptoError} `CONTEXT_INVALID`.
 */
export function encodedContext(suite: Suite, context: Context): EncodedContext {
  const { bytes, bySuite } = knownContext(context);
  const found = bySuite.get(suite.id);
  if (found !== undefined) return found;
  const encoded = { bytes, hash: suiteHash(suite, bytes) };
  bySuite.set(suite.id, encoded);
  return encoded;
}

/**
 * Does nothing for a context that can be encoded, and little for one that was lately.
 *
 * @throws {CryptoError} `CONTEXT_INVALID`.
 */
export function checkEncodable(context: Context): void {
  knownContext(context);
}

function knownContext(context: Context): KnownContext {
  // JSON leaves out what is no JSON value: only maps of strings have a text that is theirs alone.
  const isMapOfStrings = Object.values(context).every((value) => typeof value === "string");
  const name = isMapOfStrings ? JSON.stringify(context) : "";
  const found = known.get(name);
  if (found !== undefined) return found;
  const made: KnownContext = { bytes: encodeContext(context), bySuite: new Map() };
  if (name.length > maxKnownLength) return made;
  if (known.size >= maxKnown)
    for (const oldest of known.keys()) {
      known.delete(oldest);
      break;
    }
  known.set(name, made);
  return made;
}
