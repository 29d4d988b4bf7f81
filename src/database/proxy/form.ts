/** One `name=value` of a query string or form body, decoded, with its place in the raw text. */
export interface FormPair {
  readonly name: string;
  readonly value: string;
  /** Offsets of the raw pair. */
  readonly start: number;
  readonly end: number;
}

/**
 * The pairs of a query string or urlencoded body, in order, as Go's `url.ParseQuery` reads them for InfluxDB: `+` is a
 * space, a pair with a broken `%` escape is left out.
 *
 * @param raw - One character per byte (latin1).
 * @param semicolon - What a raw `;` does: Go before 1.17 takes it for `&`, later ones leave the whole pair out.
 */
export function readForm(raw: string, semicolon: "separates" | "spoils"): readonly FormPair[] {
  const pairs: FormPair[] = [];
  for (const { index, 0: pair } of raw.matchAll(semicolon === "separates" ? /[^&;]+/g : /[^&]+/g)) {
    if (semicolon === "spoils" && pair.includes(";")) continue;
    const equals = pair.indexOf("=");
    const name = unescaped(equals === -1 ? pair : pair.slice(0, equals));
    const value = unescaped(equals === -1 ? "" : pair.slice(equals + 1));
    if (name === undefined || value === undefined) continue;
    pairs.push({ name, value, start: index, end: index + pair.length });
  }
  return pairs;
}

/** The value of the first pair of this name. */
export function formValue(pairs: readonly FormPair[], name: string): string | undefined {
  return pairs.find((pair) => pair.name === name)?.value;
}

/** `raw` with another value in the place of the first pair of this name. */
export function withValue(raw: string, pairs: readonly FormPair[], name: string, value: string): string {
  const pair = pairs.find((each) => each.name === name);
  if (pair === undefined) return raw;
  return `${raw.slice(0, pair.start)}${encodePair(name, value)}${raw.slice(pair.end)}`;
}

/** `name=value` for a form. */
export function encodePair(name: string, value: string): string {
  return `${encodeURIComponent(name.toWellFormed())}=${encodeURIComponent(value.toWellFormed())}`;
}

const escapes = /[%+]/;
const highBytes = /[\x80-\xff]/;

/** Undoes `%xx` and `+`; undefined if an escape is broken. */
function unescaped(raw: string): string | undefined {
  if (!highBytes.test(raw)) {
    if (!escapes.test(raw)) return raw;
    try {
      return decodeURIComponent(raw.replaceAll("+", " "));
    } catch {
      // A broken escape, or bytes that are no UTF-8.
    }
  }
  if (/%(?![0-9A-Fa-f]{2})/.test(raw)) return undefined;
  const bytes = raw
    .replaceAll("+", " ")
    .replace(/%([0-9A-Fa-f]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
  return goText(Buffer.from(bytes, "latin1"));
}

/**
 * Bytes as Go's scanner reads them: UTF-8, and U+FFFD for every byte that is none. (`Buffer.toString` gives one U+FFFD for a
 * run of them; the names of two databases must not become one.)
 */
export function goText(bytes: Buffer): string {
  const text = bytes.toString("utf8");
  if (!text.includes("\ufffd")) return text;
  let result = "";
  for (let at = 0; at < bytes.length; ) {
    const length = sequenceLength(bytes, at);
    result += length === 0 ? "\ufffd" : bytes.toString("utf8", at, at + length);
    at += Math.max(length, 1);
  }
  return result;
}

/** How many bytes the well-formed UTF-8 sequence at `at` has; 0 if there is none. */
function sequenceLength(bytes: Buffer, at: number): number {
  const first = bytes[at] ?? 0;
  const length = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  const sequence = bytes.subarray(at, at + length);
  if (length === 0 || sequence.length < length) return 0;
  return Buffer.from(sequence.toString("utf8")).equals(sequence) ? length : 0;
}

/** Go's `strings.TrimSpace`. */
export function trimmed(text: string): string {
  const space = "[\\t-\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]+";
  return text.replace(new RegExp(`^${space}`), "").replace(new RegExp(`${space}$`), "");
}
