/** `*` in a pattern: any run of characters, also none. */
export const star: unique symbol = Symbol("*");
/** `?` in a pattern: exactly one character (UTF-16 unit). */
export const anyOne: unique symbol = Symbol("?");

export type PatternToken = string | typeof star | typeof anyOne;
export type Matcher = (text: string) => boolean;

/** A stretch between two stars that holds `?` is searched place by place, so its length is bounded. */
export const maxSearchedWithAnyOne = 64;

/** Literal text, stars and question marks of a pattern, in order. */
export function tokensOf(pattern: string): PatternToken[] {
  const tokens: PatternToken[] = [];
  for (const part of pattern.split(/([*?])/)) {
    if (part === "*") tokens.push(star);
    else if (part === "?") tokens.push(anyOne);
    else if (part !== "") tokens.push(part);
  }
  return tokens;
}

/** Code units of a stretch without stars; `anyUnit` stands for `?`. */
type Stretch = readonly number[];
const anyUnit = -1;

/**
 * Compiles a pattern. Matching takes time linear in the text: the first and last stretch are anchored, each stretch in
 * between is found once, leftmost (Knuth-Morris-Pratt), and never given up again.
 *
 * @throws {RangeError} If a stretch between two stars holds `?` and is longer than 64 characters.
 */
export function compilePattern(tokens: readonly PatternToken[]): Matcher {
  if (tokens.every((token) => typeof token === "string")) {
    const literal = tokens.join("");
    return (text) => text === literal;
  }
  const stretches = splitAtStars(tokens);
  const first = stretches[0] ?? [];
  const last = stretches.at(-1) ?? [];
  if (stretches.length === 1) return (text) => text.length === first.length && standsAt(text, 0, first);
  const finders = stretches.slice(1, -1).map(compileFinder);
  return (text) => {
    const end = text.length - last.length;
    if (end < first.length || !standsAt(text, 0, first) || !standsAt(text, end, last)) return false;
    let position = first.length;
    for (const find of finders) {
      position = find(text, position, end);
      if (position < 0) return false;
    }
    return true;
  };
}

function splitAtStars(tokens: readonly PatternToken[]): Stretch[] {
  const stretches: number[][] = [[]];
  for (const token of tokens) {
    if (token === star) stretches.push([]);
    else if (token === anyOne) stretches.at(-1)?.push(anyUnit);
    else for (let index = 0; index < token.length; index++) stretches.at(-1)?.push(token.charCodeAt(index));
  }
  return stretches.filter((stretch, index) => stretch.length > 0 || index === 0 || index === stretches.length - 1);
}

function standsAt(text: string, position: number, stretch: Stretch): boolean {
  for (let index = 0; index < stretch.length; index++) {
    const unit = stretch[index];
    if (unit !== anyUnit && text.charCodeAt(position + index) !== unit) return false;
  }
  return true;
}

/** Finds the leftmost place at or after `from` that ends at or before `end`; returns the position after it, or -1. */
type Finder = (text: string, from: number, end: number) => number;

function compileFinder(stretch: Stretch): Finder {
  if (stretch.includes(anyUnit)) {
    if (stretch.length > maxSearchedWithAnyOne)
      throw new RangeError(`a stretch between two * that holds ? has more than ${maxSearchedWithAnyOne} characters`);
    return (text, from, end) => {
      for (let start = from; start + stretch.length <= end; start++)
        if (standsAt(text, start, stretch)) return start + stretch.length;
      return -1;
    };
  }
  const fallback = fallbackTable(stretch);
  return (text, from, end) => {
    let matched = 0;
    for (let index = from; index < end; index++) {
      const unit = text.charCodeAt(index);
      while (matched > 0 && stretch[matched] !== unit) matched = fallback[matched - 1] ?? 0;
      if (stretch[matched] === unit) matched += 1;
      if (matched === stretch.length) return index + 1;
    }
    return -1;
  };
}

/** For each length of a matched part, the longest shorter part that is matched too. */
function fallbackTable(stretch: Stretch): number[] {
  const table = [0];
  let matched = 0;
  for (let index = 1; index < stretch.length; index++) {
    while (matched > 0 && stretch[matched] !== stretch[index]) matched = table[matched - 1] ?? 0;
    if (stretch[matched] === stretch[index]) matched += 1;
    table.push(matched);
  }
  return table;
}
