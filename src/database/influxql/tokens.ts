/** What a token is. Whitespace and comments are no tokens: `gap` says that one of them stood before. */
export type TokenKind = "keyword" | "name" | "string" | "number" | "regex" | "parameter" | "sign";

export interface Token {
  readonly kind: TokenKind;
  /** Keyword in upper case, name or string without quotes and escapes, parameter without `$`, else the characters. */
  readonly value: string;
  /** Offsets into the text, in UTF-16 units. */
  readonly start: number;
  readonly end: number;
  /** Whether whitespace or a comment stands between this token and the one before. */
  readonly gap: boolean;
  /** A name without any quote. */
  readonly bare: boolean;
}

const keywords = new Set(
  (
    "ALL ALTER ANALYZE AND ANY AS ASC BEGIN BY CARDINALITY CREATE CONTINUOUS DATABASE DATABASES DEFAULT DELETE DESC " +
    "DESTINATIONS DIAGNOSTICS DISTINCT DROP DURATION END EVERY EXACT EXPLAIN FALSE FIELD FOR FROM GRANT GRANTS GROUP " +
    "GROUPS IN INF INSERT INTO KEY KEYS KILL LIMIT MEASUREMENT MEASUREMENTS NAME OFFSET ON OR ORDER PASSWORD POLICY " +
    "POLICIES PRIVILEGES QUERIES QUERY READ REPLICATION RESAMPLE RETENTION REVOKE SELECT SERIES SET SHOW SHARD SHARDS " +
    "SLIMIT SOFFSET STATS SUBSCRIPTION SUBSCRIPTIONS TAG TO TRUE USER USERS VALUES WHERE WITH WRITE"
  ).split(" "),
);

const regexFollows = new Set(["SELECT", "FROM", "BY", ",", "(", "=", "=~", "!~", "."]);
const twoCharacterSigns = new Set(["=~", "!=", "!~", ">=", "<=", "<>", "::"]);
const oneCharacterSigns = new Set("+-*/%&|^=><(),;:.");
const escaped: Readonly<Record<string, string>> = { n: "\n", "\\": "\\", '"': '"', "'": "'" };

/**
 * The tokens of a query text, as InfluxDB 1.x's own scanner cuts it, its oddities included: a carriage return ends a line,
 * a quote right after a bare word makes the word's letters vanish (`ab"c"` is the name c), and `/` begins a regular
 * expression only where the grammar can take one, after one run of whitespace at most.
 *
 * @returns undefined for a text that InfluxDB refuses as a whole: an open string or comment, a bad escape, a strange
 *   character. A NUL is treated so as well: InfluxDB's scanner takes it for the end in one place and skips it in others.
 */
export function scan(text: string): readonly Token[] | undefined {
  return text.includes("\0") ? undefined : new Scanner(text).scan();
}

class Scanner {
  readonly #text: string;
  readonly #tokens: Token[] = [];
  #at = 0;
  #gap = false;
  #commented = false;

  constructor(text: string) {
    this.#text = text;
  }

  scan(): readonly Token[] | undefined {
    while (this.#at < this.#text.length) if (!this.#next()) return undefined;
    return this.#tokens;
  }

  /** Takes one token, comment or whitespace character; false where the scanner of InfluxDB gives up. */
  #next(): boolean {
    const here = this.#text[this.#at] ?? "";
    const two = this.#text.slice(this.#at, this.#at + 2);
    if (here === " " || here === "\t" || here === "\n" || here === "\r") {
      this.#at += 1;
      this.#gap = true;
      return true;
    }
    if (two === "--") return this.#skip(/[\r\n]/g, 2, true);
    if (two === "/*") return this.#skip(/\*\//g, 2, false);
    if (/[A-Za-z_"]/.test(here)) return this.#word("name", this.#at);
    if (here === "$") return this.#word("parameter", this.#at + 1);
    if (here === "'") return this.#string();
    if (/[0-9]/.test(here) || (here === "." && /[0-9]/.test(two[1] ?? ""))) return this.#number();
    if (here === "/" && this.#regexMayFollow()) return this.#regex();
    if (twoCharacterSigns.has(two)) return this.#add("sign", two, this.#at + 2);
    return oneCharacterSigns.has(here) && this.#add("sign", here, this.#at + 1);
  }

  #add(kind: TokenKind, value: string, end: number, bare = false): true {
    this.#tokens.push({ kind, value, start: this.#at, end, gap: this.#gap, bare });
    this.#at = end;
    this.#gap = false;
    this.#commented = false;
    return true;
  }

  #skip(endOfComment: RegExp, from: number, mayEndWithText: boolean): boolean {
    endOfComment.lastIndex = this.#at + from;
    const found = endOfComment.exec(this.#text) !== null;
    if (!found && !mayEndWithText) return false;
    this.#at = found ? endOfComment.lastIndex : this.#text.length;
    this.#gap = true;
    this.#commented = true;
    return true;
  }

  /** A bare word, a quoted name, or letters with a quoted name right behind, which alone counts then. */
  #word(kind: "name" | "parameter", from: number): boolean {
    const letters = /[A-Za-z0-9_]*/y;
    letters.lastIndex = from;
    const word = letters.exec(this.#text)?.[0] ?? "";
    const after = from + word.length;
    if (this.#text[after] === '"') {
      const quoted = this.#quoted(after);
      return quoted !== undefined && this.#add(kind, quoted.value, quoted.end);
    }
    const upper = word.toUpperCase();
    if (kind === "name" && keywords.has(upper)) return this.#add("keyword", upper, after);
    return this.#add(kind, word, after, true);
  }

  #string(): boolean {
    const quoted = this.#quoted(this.#at);
    return quoted !== undefined && this.#add("string", quoted.value, quoted.end);
  }

  /** The quoted text that begins at `from`; undefined when a line ends in it or an escape is unknown. */
  #quoted(from: number): { readonly value: string; readonly end: number } | undefined {
    const quote = this.#text[from];
    let value = "";
    for (let at = from + 1; at < this.#text.length; at++) {
      const here = this.#text[at] ?? "";
      if (here === quote) return { value, end: at + 1 };
      if (here === "\n" || here === "\r") return undefined;
      if (here !== "\\") value += here;
      else {
        const meant = escaped[this.#text[at + 1] ?? ""];
        if (meant === undefined) return undefined;
        value += meant;
        at += 1;
      }
    }
    return undefined;
  }

  /** A number, or a duration: digits, a letter, then letters and digits. */
  #number(): boolean {
    const number = /[0-9]*(?:\.[0-9]*|[A-Za-zµ][A-Za-zµ0-9]*)?/y;
    number.lastIndex = this.#at;
    const value = number.exec(this.#text)?.[0] ?? "";
    return this.#add("number", value, this.#at + value.length);
  }

  /** InfluxDB's parser asks for a regular expression itself, having skipped one run of whitespace but no comment. */
  #regexMayFollow(): boolean {
    const last = this.#tokens.at(-1);
    const grammatical = last?.kind === "keyword" || last?.kind === "sign";
    return grammatical && !this.#commented && regexFollows.has(last.value);
  }

  /** Up to the next `/` without a backslash right before it; `\\/` goes on, as it does in InfluxDB. */
  #regex(): boolean {
    for (let at = this.#at + 1; at < this.#text.length; at++) {
      const here = this.#text[at];
      if (here === "/") return this.#add("regex", this.#text.slice(this.#at + 1, at), at + 1);
      if (here === "\n" || here === "\r") return false;
      if (here === "\\" && this.#text[at + 1] === "/") at += 1;
    }
    return false;
  }
}
