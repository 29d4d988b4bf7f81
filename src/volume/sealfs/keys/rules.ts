import { KeyTableError } from "./errors.ts";
import { isFolderName, maxPathSegments, type ZoneProtection } from "./zone.ts";

/** What a folder becomes when it is made at a path that the pattern matches. */
export interface ZoneRule {
  /**
   * Names joined by "/", without one at the start or the end; `*` stands for any one whole name. Text; a folder's name is
   * matched by its bytes in UTF-8.
   */
  readonly pattern: string;
  readonly becomes: ZoneProtection;
}

export const maxRules = 1000;
export const maxPatternBytes = 1024;
const anyName = "*";

interface ReadRule {
  readonly segments: readonly string[];
  readonly becomes: ZoneProtection;
}

/**
 * The rules of a volume. Where several match one folder, the more literal wins: segment by segment from the left, a name
 * beats `*`. So the order in which rules are given means nothing.
 */
export class ZoneRules {
  readonly rules: readonly ZoneRule[];
  /** By the number of segments; the more literal first. */
  readonly #byDepth = new Map<number, ReadRule[]>();

  /** @throws {KeyTableError} `RULE_INVALID` for a bad pattern, a pattern given twice, or over 1,000 rules. */
  constructor(rules: readonly ZoneRule[]) {
    if (rules.length > maxRules)
      throw new KeyTableError("RULE_INVALID", `there are ${rules.length} zone rules, the most is ${maxRules}`);
    const seen = new Set<string>();
    for (const { pattern, becomes } of rules) {
      const segments = patternSegments(pattern);
      if (seen.has(pattern))
        throw new KeyTableError("RULE_INVALID", `the zone rule ${JSON.stringify(pattern)} is given twice; remove one`);
      seen.add(pattern);
      const sameDepth = this.#byDepth.get(segments.length) ?? [];
      sameDepth.push({ segments, becomes });
      this.#byDepth.set(segments.length, sameDepth);
    }
    for (const sameDepth of this.#byDepth.values()) sameDepth.sort(moreLiteralFirst);
    this.rules = rules.map(({ pattern, becomes }) => ({ pattern, becomes }));
  }

  /** True when a rule is about this folder or about folders below it. */
  reachBelow(path: readonly string[]): boolean {
    for (const [depth, sameDepth] of this.#byDepth)
      if (
        depth >= path.length &&
        sameDepth.some(({ segments }) => path.every((name, at) => segments[at] === anyName || segments[at] === name))
      )
        return true;
    return false;
  }

  /** What a folder made at this path becomes: a zone of its own, or (undefined) a part of the zone around it. */
  match(path: readonly string[]): ZoneProtection | undefined {
    return this.#byDepth
      .get(path.length)
      ?.find(({ segments }) => segments.every((segment, at) => segment === anyName || segment === path[at]))?.becomes;
  }
}

function patternSegments(pattern: string): readonly string[] {
  const refuse = (why: string) =>
    new KeyTableError(
      "RULE_INVALID",
      `the zone rule ${JSON.stringify(pattern.slice(0, 100))} ${why}; write names and * joined by "/", as in data/*/*`,
    );
  if (!pattern.isWellFormed()) throw refuse("is not well-formed Unicode");
  const bytes = Buffer.from(pattern);
  if (bytes.length === 0 || bytes.length > maxPatternBytes) throw refuse(`has not 1 to ${maxPatternBytes} bytes`);
  const segments = bytes.toString("latin1").split("/");
  if (segments.length > maxPathSegments) throw refuse(`is deeper than ${maxPathSegments} folders`);
  for (const segment of segments) {
    if (segment !== anyName && segment.includes(anyName)) throw refuse("has a * that is not a whole name");
    if (!isFolderName(segment)) throw refuse("has a name that no folder can have");
  }
  return segments;
}

function moreLiteralFirst(left: ReadRule, right: ReadRule): number {
  for (const [at, segment] of left.segments.entries()) {
    const leftAny = segment === anyName;
    const rightAny = right.segments[at] === anyName;
    if (leftAny !== rightAny) return leftAny ? 1 : -1;
  }
  return 0;
}
