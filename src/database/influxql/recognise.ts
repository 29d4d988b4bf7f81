import { encryptionClause } from "./create-database.ts";
import { databaseUse, isKeyword, nameFrom } from "./database-use.ts";
import type { NameOfParameter, Statement } from "./statement.ts";
import { scan, type Token } from "./tokens.ts";

const noParameters: NameOfParameter = () => undefined;

/**
 * The statements of an InfluxQL query text, and what each is to an encrypted database.
 *
 * It is a recogniser, not a parser: for a text that InfluxDB accepts it says the truth about every statement; a text that
 * InfluxDB refuses may give anything, since InfluxDB parses a whole request before it runs any of it. No text is made valid
 * by it except through the encryption clauses that it knows.
 *
 * @param nameOf - What bound parameters stand for, as names.
 * @returns undefined for a text that InfluxDB's scanner refuses.
 */
export function recognise(text: string, nameOf: NameOfParameter = noParameters): readonly Statement[] | undefined {
  const tokens = scan(text);
  if (tokens === undefined) return undefined;
  const statements: Statement[] = [];
  let first = 0;
  for (let at = 0; at <= tokens.length; at++) {
    const token = tokens[at];
    if (token !== undefined && !(token.kind === "sign" && token.value === ";")) continue;
    if (at > first) statements.push(statementOf(text, tokens.slice(first, at), statements.length, nameOf));
    first = at + 1;
  }
  return statements;
}

function statementOf(text: string, tokens: readonly Token[], index: number, nameOf: NameOfParameter): Statement {
  const [first, second, third, fourth, fifth] = tokens;
  const part = {
    index,
    start: first?.start ?? 0,
    end: tokens.at(-1)?.end ?? 0,
    uses: databaseUse(tokens, nameOf),
  };
  const begins = (...words: readonly string[]): boolean => words.every((word, at) => isKeyword(tokens[at], word));
  const database = nameFrom(third, nameOf);
  if (begins("CREATE", "DATABASE") && database !== undefined) {
    const clause = encryptionClause(text, tokens);
    return { ...part, kind: "create database", database, ...(clause === undefined ? {} : { clause }) };
  }
  if (begins("DROP", "DATABASE") && database !== undefined) return { ...part, kind: "drop database", database };
  if (begins("ALTER", "DATABASE") && database !== undefined && tokens.length === 5) {
    const on = isKeyword(fifth, "ON");
    const off = fifth?.kind === "name" && fifth.bare && fifth.value.toUpperCase() === "OFF";
    const about = fourth?.kind === "name" && fourth.bare && fourth.value.toUpperCase() === "ENCRYPTION";
    if (about && (on || off)) return { ...part, kind: "alter encryption", database, on };
  }
  if (begins("SHOW", "DATABASES") && second !== undefined) return { ...part, kind: "show databases" };
  if (begins("DROP", "SHARD")) return { ...part, kind: "drop shard" };
  if (begins("DROP", "RETENTION", "POLICY")) return { ...part, kind: "drop retention policy" };
  return { ...part, kind: "other" };
}

/** The text with `replacement(statement)` in the place of each statement for which it is not undefined. */
export function withStatements(
  text: string,
  statements: readonly Statement[],
  replacement: (statement: Statement) => string | undefined,
): string {
  let result = "";
  let at = 0;
  for (const statement of statements) {
    const other = replacement(statement);
    if (other === undefined) continue;
    result += text.slice(at, statement.start) + other;
    at = statement.end;
  }
  return result + text.slice(at);
}

/** The text as InfluxDB is to see it: encryption clauses taken out, every other character as it was. */
export function stockText(text: string, statements: readonly Statement[]): string {
  return withStatements(text, statements, (each) => (each.kind === "create database" ? each.clause?.stock : undefined));
}
