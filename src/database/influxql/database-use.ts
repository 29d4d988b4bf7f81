import type { DatabaseUse, NameOfParameter } from "./statement.ts";
import type { Token } from "./tokens.ts";

const nothing: DatabaseUse = { named: [], byDefault: false };
const dataShown = new Set(["SERIES", "MEASUREMENT", "MEASUREMENTS", "TAG", "FIELD"]);

/**
 * The databases whose data a statement reads, writes or removes, from its tokens. Statements about users, subscriptions or
 * queries touch no data, nor do those about policies, but for their removal. Whose shard DROP SHARD removes, its text does not say. A statement that InfluxDB refuses may give anything.
 */
export function databaseUse(tokens: readonly Token[], nameOf: NameOfParameter): DatabaseUse {
  const [first, second] = tokens;
  switch (first?.kind === "keyword" ? first.value : "") {
    case "SELECT":
    case "EXPLAIN":
      return new SourceWalk(tokens, nameOf).result();
    case "DELETE":
      return { named: [], byDefault: true };
    case "DROP": {
      if (second?.value === "RETENTION") return { ...withDefault(tokens, nameOf), byDefault: false };
      const dropsData = second?.value === "SERIES" || second?.value === "MEASUREMENT";
      return dropsData ? { named: [], byDefault: true } : nothing;
    }
    case "SHOW":
      return dataShown.has(second?.value ?? "") ? withDefault(tokens, nameOf) : nothing;
    case "CREATE":
      return second?.value === "CONTINUOUS" ? withDefault(tokens, nameOf) : nothing;
    default:
      return nothing;
  }
}

/** Statements with `ON db`, which then takes the place of the request's default. */
function withDefault(tokens: readonly Token[], nameOf: NameOfParameter): DatabaseUse {
  const found = new SourceWalk(tokens, nameOf).result();
  const on = tokens.findIndex((token) => isKeyword(token, "ON"));
  const database = on === -1 ? undefined : nameFrom(tokens[on + 1], nameOf);
  if (database === undefined) return { named: found.named, byDefault: true };
  return { named: [...new Set([...found.named, database])], byDefault: false };
}

/** The name that a token stands for, as itself or through a bound parameter. */
export function nameFrom(token: Token | undefined, nameOf: NameOfParameter): string | undefined {
  if (token?.kind === "name") return token.value;
  return token?.kind === "parameter" ? nameOf(token.value) : undefined;
}

export function isKeyword(token: Token | undefined, word: string): boolean {
  return token?.kind === "keyword" && token.value === word;
}

function isSign(token: Token | undefined, sign: string): boolean {
  return token?.kind === "sign" && token.value === sign;
}

/** Walks the FROM and INTO clauses. FROM and INTO are keywords, so that they can't mean anything else. */
class SourceWalk {
  readonly #tokens: readonly Token[];
  readonly #nameOf: NameOfParameter;
  readonly #named = new Set<string>();
  #byDefault = false;

  constructor(tokens: readonly Token[], nameOf: NameOfParameter) {
    this.#tokens = tokens;
    this.#nameOf = nameOf;
  }

  result(): DatabaseUse {
    for (let at = 0; at < this.#tokens.length; at++) {
      if (isKeyword(this.#tokens[at], "INTO")) this.#measurement(at + 1);
      if (isKeyword(this.#tokens[at], "FROM")) this.#sources(at + 1);
    }
    return { named: [...this.#named], byDefault: this.#byDefault };
  }

  /** A list of sources; subqueries are only skipped here, since their own FROM is met by the walk. */
  #sources(from: number): void {
    let at = from;
    for (;;) {
      at = isSign(this.#tokens[at], "(") ? this.#afterParenthesis(at) : this.#measurement(at);
      if (!isSign(this.#tokens[at], ",")) return;
      at += 1;
    }
  }

  #afterParenthesis(from: number): number {
    let depth = 0;
    for (let at = from; at < this.#tokens.length; at++) {
      if (isSign(this.#tokens[at], "(")) depth += 1;
      if (isSign(this.#tokens[at], ")")) depth -= 1;
      if (depth === 0) return at + 1;
    }
    return this.#tokens.length;
  }

  /** `[[database.][policy].]measurement`, the last part a name, a regular expression or `:MEASUREMENT`. */
  #measurement(from: number): number {
    const parts: string[] = [];
    let at = from;
    for (;;) {
      const token = this.#tokens[at];
      if (isSign(token, ".")) parts.push("");
      else {
        if (token === undefined || (!["name", "parameter", "regex"].includes(token.kind) && !isSign(token, ":"))) break;
        parts.push(nameFrom(token, this.#nameOf) ?? "");
        at += isSign(token, ":") ? 2 : 1;
      }
      const dot = this.#tokens[at];
      if (!isSign(dot, ".") || dot?.gap === true) break;
      at += 1;
    }
    const database = parts.length >= 3 ? (parts[0] ?? "") : "";
    if (database === "") this.#byDefault = true;
    else this.#named.add(database);
    return at;
  }
}
