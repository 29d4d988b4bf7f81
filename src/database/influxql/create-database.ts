import { isKeyword } from "./database-use.ts";
import type { Token } from "./tokens.ts";

const stockOrder = ["DURATION", "REPLICATION", "SHARD", "NAME"] as const;
type OptionName = (typeof stockOrder)[number];

interface Tail {
  readonly on: boolean;
  /** The tokens that InfluxDB must not see. */
  readonly hidden: readonly Token[];
  /** In the order written. */
  readonly options: readonly { readonly name: OptionName; readonly start: number; readonly end: number }[];
}

/**
 * Reads what follows the name in `CREATE DATABASE name …` when it has an encryption clause:
 *
 *     [WITH] ENCRYPTION ON|OFF
 *     ENCRYPTION ON|OFF WITH <options>        WITH ENCRYPTION ON|OFF [WITH] <options>        WITH <options> ENCRYPTION ON|OFF
 *
 * with `<options>` = DURATION d, REPLICATION n, SHARD DURATION d, NAME n in any order. InfluxDB takes them in this one order
 * only, so that they are put into it.
 *
 * @param tokens - Of the statement, `CREATE DATABASE name` included.
 * @returns The statement without the clause, as long as before so that places in messages stay right; undefined when there
 *   is no such clause, or one that is not well-formed, which InfluxDB then refuses in its own words.
 */
export function encryptionClause(
  text: string,
  tokens: readonly Token[],
): { readonly on: boolean; readonly stock: string } | undefined {
  const tail = readTail(tokens);
  const start = tokens[0]?.start;
  const end = tokens.at(-1)?.end;
  const nameEnd = tokens[2]?.end;
  if (tail === undefined || start === undefined || end === undefined || nameEnd === undefined) return undefined;
  const places = tail.options.map((option) => stockOrder.indexOf(option.name));
  const inOrder = places.every((place, at) => at === 0 || place > (places[at - 1] ?? -1));
  const stock = inOrder ? blanked(text, start, end, tail.hidden) : reordered(text, start, nameEnd, end, tail);
  return { on: tail.on, stock };
}

function readTail(tokens: readonly Token[]): Tail | undefined {
  const hidden: Token[] = [];
  const options: { name: OptionName; start: number; end: number }[] = [];
  let on: boolean | undefined;
  let pendingWith: Token | undefined;
  let optionsBegun = false;
  let at = 3;
  while (at < tokens.length) {
    const [token, next, third] = [tokens[at], tokens[at + 1], tokens[at + 2]];
    if (token === undefined) return undefined;
    if (isKeyword(token, "WITH")) {
      if (optionsBegun || next === undefined || isKeyword(next, "WITH")) return undefined;
      if (pendingWith !== undefined) hidden.push(pendingWith);
      pendingWith = token;
      at += 1;
    } else if (isBare(token, "ENCRYPTION")) {
      const asked = isKeyword(next, "ON") ? true : isBare(next, "OFF") ? false : undefined;
      if (on !== undefined || asked === undefined || next === undefined) return undefined;
      hidden.push(token, next);
      on = asked;
      at += 2;
    } else {
      const name = stockOrder.find((each) => isKeyword(token, each));
      const value = name === "SHARD" ? third : next;
      const wellFormed = name !== undefined && pendingWith !== undefined && value !== undefined;
      if (!wellFormed || (name === "SHARD" && !isKeyword(next, "DURATION"))) return undefined;
      if (!isValue(value) || options.some((option) => option.name === name)) return undefined;
      options.push({ name, start: token.start, end: value.end });
      optionsBegun = true;
      at += name === "SHARD" ? 3 : 2;
    }
  }
  if (on === undefined) return undefined;
  if (pendingWith !== undefined && options.length === 0) hidden.push(pendingWith);
  return { on, hidden, options };
}

function isBare(token: Token | undefined, word: string): boolean {
  return token?.kind === "name" && token.bare && token.value.toUpperCase() === word;
}

function isValue(token: Token): boolean {
  return token.kind === "name" || token.kind === "number" || token.kind === "parameter" || isKeyword(token, "INF");
}

function blanked(text: string, start: number, end: number, hidden: readonly Token[]): string {
  const letters = text.slice(start, end).split("");
  for (const token of hidden) letters.fill(" ", token.start - start, token.end - start);
  return letters.join("");
}

function reordered(text: string, start: number, nameEnd: number, end: number, tail: Tail): string {
  const ordered = [...tail.options].sort((a, b) => stockOrder.indexOf(a.name) - stockOrder.indexOf(b.name));
  const options = ordered.map((option) => text.slice(option.start, option.end));
  return `${text.slice(start, nameEnd)} WITH ${options.join(" ")}`.padEnd(end - start);
}
