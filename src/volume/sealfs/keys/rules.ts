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

export const maxRules = 20_000;
/** All patterns together, in one record of the key table. */
const maxRulesBytes = 3 << 19;
/** Of each in its record. */
const ruleOverheadBytes = 3;
export const maxPatternBytes = 1024;
const anyName = "*";

/** The rules whose patterns begin alike: what follows, by the next name. */
interface RuleNode {
  readonly names: Map<string, RuleNode>;
  any: RuleNode | undefined;
  /** Of a pattern that ends here. */
  becomes: ZoneProtection | undefined;
}

/**
 * The rules of a volume. Where several match one folder, the more literal wins: segment by segment from the left, a name
 * beats `*`. So the order in which rules are given means nothing. A look-up costs the same with one rule or thousands.
 */
export class ZoneRules {
  readonly rules: readonly ZoneRule[];
  readonly #root: RuleNode = emptyNode();

  /** @throws {KeyTableError} `RULE_INVALID` for a bad pattern, a pattern given twice, over 20,000 rules or 1.5 MiB of them. */
  constructor(rules: readonly ZoneRule[]) {
    if (rules.length > maxRules)
      throw new KeyTableError("RULE_INVALID", `there are ${rules.length} zone rules, the most is ${maxRules}`);
    let bytes = 0;
    for (const { pattern, becomes } of rules) {
      const segments = patternSegments(pattern);
      bytes += Buffer.byteLength(pattern) + ruleOverheadBytes;
      let node = this.#root;
      for (const segment of segments) node = below(node, segment);
      if (node.becomes !== undefined)
        throw new KeyTableError("RULE_INVALID", `the zone rule ${JSON.stringify(pattern)} is given twice; remove one`);
      node.becomes = becomes;
    }
    if (bytes > maxRulesBytes)
      throw new KeyTableError("RULE_INVALID", `the zone rules have ${bytes} bytes, the most is ${maxRulesBytes}`);
    this.rules = rules.map(({ pattern, becomes }) => ({ pattern, becomes }));
  }

  /** True when a rule is about this folder or about folders below it. */
  reachBelow(path: readonly string[]): boolean {
    return this.#at(path).some((node) => node !== this.#root || this.rules.length > 0);
  }

  /** What a folder made at this path becomes: a zone of its own, or (undefined) a part of the zone around it. */
  match(path: readonly string[]): ZoneProtection | undefined {
    return this.#at(path).find(({ becomes }) => becomes !== undefined)?.becomes;
  }

  /** Where patterns that match the path lead; the more literal first. Few: a step doubles them at most, and rules rarely do. */
  #at(path: readonly string[]): readonly RuleNode[] {
    let nodes: readonly RuleNode[] = [this.#root];
    for (const name of path) {
      nodes = nodes.flatMap(({ names, any }) => [names.get(name), any].filter((next) => next !== undefined));
      if (nodes.length === 0) break;
    }
    return nodes;
  }
}

function emptyNode(): RuleNode {
  return { names: new Map(), any: undefined, becomes: undefined };
}

function below(node: RuleNode, segment: string): RuleNode {
  if (segment === anyName) {
    node.any ??= emptyNode();
    return node.any;
  }
  let next = node.names.get(segment);
  if (next === undefined) {
    next = emptyNode();
    node.names.set(segment, next);
  }
  return next;
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
