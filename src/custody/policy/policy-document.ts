import { type ActionName, actions, expandAction } from "./actions.ts";
import { type Condition, compileConditions, type Effect } from "./condition.ts";
import { malformed, quoted, unsupported } from "./errors.ts";
import { asObject, asText, asTexts } from "./json-shape.ts";
import { type PrincipalSet, parsePrincipals } from "./principal-element.ts";
import { parseStrictJson } from "./strict-json.ts";
import { compilePattern, type Matcher, tokensOf } from "./wildcard.ts";

export type PolicyKind = "key" | "identity";
export type PolicyVersion = "2012-10-17" | "2008-10-17";

/** The most bytes of a policy document (AWS KMS: 32 KB). */
export const maxPolicyBytes = 32 * 1024;
const maxSidLength = 128;
const maxNameLength = 2048;

export interface CompiledStatement {
  /** The Sid, or `Statement[n]`. */
  readonly id: string;
  readonly effect: Effect;
  /** What the statement covers: Action with its patterns expanded, or everything but NotAction. */
  readonly actions: ReadonlySet<ActionName>;
  /** Undefined in identity policies. `except` for NotPrincipal. */
  readonly principals: { readonly set: PrincipalSet; readonly except: boolean } | undefined;
  /** ARN of the resource, or undefined for a request about none. */
  readonly coversResource: (arn: string | undefined) => boolean;
  readonly conditions: readonly Condition[];
}

export interface CompiledPolicy {
  readonly kind: PolicyKind;
  readonly version: PolicyVersion;
  readonly denies: readonly CompiledStatement[];
  readonly allows: readonly CompiledStatement[];
  /** ARNs of single principals that the document names, for a check that they exist. */
  readonly principalArns: readonly string[];
}

/**
 * Parses and compiles an AWS policy document, once, at the time it is stored or loaded.
 *
 * The grammar is the IAM User Guide's ("Grammar of the IAM JSON policy language"). Everything that this engine would have
 * to ignore is refused: a rule that is stored is a rule that is applied. A key policy needs a principal in each statement,
 * and `"*"` or key ARNs as resource; an identity policy has no principal.
 *
 * @param text - JSON, at most 32 KiB in UTF-8.
 * @throws {PolicyError} `POLICY_MALFORMED` or `POLICY_UNSUPPORTED`, with the path of the offence.
 */
export function parsePolicy(text: string, kind: PolicyKind): CompiledPolicy {
  const bytes = Buffer.byteLength(text);
  if (bytes > maxPolicyBytes) throw malformed("", `the document has ${bytes} bytes, the most is ${maxPolicyBytes}`);
  const members = new Map(asObject(parseStrictJson(text), ""));
  refuseUnknown(members, ["Version", "Id", "Statement"], "");
  const version = parseVersion(members);
  if (members.has("Id")) asText(members.get("Id"), "Id", maxSidLength);
  if (!members.has("Statement")) throw malformed("", "the document has no Statement");
  const element = members.get("Statement");
  const list: readonly unknown[] = Array.isArray(element) ? element : [element];
  if (list.length === 0) throw malformed("Statement", "the list is empty");
  const statements = list.map((each, index) =>
    parseStatement(each, Array.isArray(element) ? `Statement[${index}]` : "Statement", kind, version),
  );
  refuseRepeatedIds(statements);
  return {
    kind,
    version,
    denies: statements.filter((statement) => statement.effect === "Deny"),
    allows: statements.filter((statement) => statement.effect === "Allow"),
    principalArns: [...new Set(statements.flatMap((statement) => [...(statement.principals?.set.arns ?? [])]))],
  };
}

/** `parsePolicy` for the policy of a key. */
export function parseKeyPolicy(text: string): CompiledPolicy {
  return parsePolicy(text, "key");
}

/** `parsePolicy` for a policy that is attached to principals. */
export function parseIdentityPolicy(text: string): CompiledPolicy {
  return parsePolicy(text, "identity");
}

/** Without a Version the language is that of 2008, as in AWS. */
function parseVersion(members: ReadonlyMap<string, unknown>): PolicyVersion {
  const version = members.has("Version") ? members.get("Version") : "2008-10-17";
  if (version !== "2012-10-17" && version !== "2008-10-17")
    throw malformed("Version", `the version is "2012-10-17" or "2008-10-17"`);
  return version;
}

const statementElements = [
  "Sid",
  "Effect",
  "Principal",
  "NotPrincipal",
  "Action",
  "NotAction",
  "Resource",
  "NotResource",
  "Condition",
] as const;

function parseStatement(element: unknown, path: string, kind: PolicyKind, version: PolicyVersion): CompiledStatement {
  const members = new Map(asObject(element, path));
  refuseUnknown(members, statementElements, path);
  const effect = members.get("Effect");
  if (effect !== "Allow" && effect !== "Deny") throw malformed(`${path}.Effect`, `the effect is "Allow" or "Deny"`);
  const condition = members.get("Condition");
  return {
    id: members.has("Sid") ? asText(members.get("Sid"), `${path}.Sid`, maxSidLength) : path,
    effect,
    actions: parseActions(members, path),
    principals: parsePrincipalElement(members, path, kind, effect),
    coversResource: parseResources(members, path, kind),
    conditions: members.has("Condition")
      ? compileConditions(condition, effect, { path: `${path}.Condition`, variables: version === "2012-10-17" })
      : [],
  };
}

/** Exactly one of an element and its negation. */
function oneOf(members: ReadonlyMap<string, unknown>, name: string, path: string): { name: string; negated: boolean } {
  const negation = `Not${name}`;
  if (members.has(name) && members.has(negation)) throw malformed(path, `${name} and ${negation} exclude each other`);
  if (!members.has(name) && !members.has(negation)) throw malformed(path, `${name} (or ${negation}) is missing`);
  return members.has(name) ? { name, negated: false } : { name: negation, negated: true };
}

function parseActions(members: ReadonlyMap<string, unknown>, path: string): ReadonlySet<ActionName> {
  const { name, negated } = oneOf(members, "Action", path);
  const element = members.get(name);
  const named = new Set<ActionName>();
  asTexts(element, `${path}.${name}`, maxNameLength).forEach((pattern, index) => {
    const found = expand(pattern, Array.isArray(element) ? `${path}.${name}[${index}]` : `${path}.${name}`);
    for (const action of found) named.add(action);
  });
  return negated ? new Set(actions.filter((action) => !named.has(action))) : named;
}

function expand(pattern: string, path: string): readonly ActionName[] {
  let found: readonly ActionName[] = [];
  try {
    found = expandAction(pattern);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
  }
  if (found.length === 0)
    throw unsupported(path, `${quoted(pattern)} stands for no action that exists here; is it a typing error?`);
  return found;
}

function parsePrincipalElement(
  members: ReadonlyMap<string, unknown>,
  path: string,
  kind: PolicyKind,
  effect: Effect,
): CompiledStatement["principals"] {
  if (kind === "identity") {
    if (members.has("Principal") || members.has("NotPrincipal"))
      throw malformed(path, "an identity policy names no principal: it applies to whom it is attached to");
    return undefined;
  }
  const { name, negated } = oneOf(members, "Principal", path);
  if (negated && effect === "Allow")
    throw unsupported(
      `${path}.${name}`,
      "NotPrincipal with Allow lets in everyone who is not named; name who is let in",
    );
  return { set: parsePrincipals(members.get(name), `${path}.${name}`), except: negated };
}

function parseResources(
  members: ReadonlyMap<string, unknown>,
  path: string,
  kind: PolicyKind,
): CompiledStatement["coversResource"] {
  const { name, negated } = oneOf(members, "Resource", path);
  const element = members.get(name);
  const matchers = asTexts(element, `${path}.${name}`, maxNameLength).map((pattern, index) =>
    compileResource(pattern, Array.isArray(element) ? `${path}.${name}[${index}]` : `${path}.${name}`, kind),
  );
  const everything = matchers.includes(matchAll);
  // A request about no single thing is on no list but "*".
  return (arn) => {
    const named = arn === undefined ? everything : matchers.some((matches) => matches(arn));
    return named !== negated;
  };
}

const matchAll: Matcher = () => true;

function compileResource(pattern: string, path: string, kind: PolicyKind): Matcher {
  if (pattern === "*") return matchAll;
  if (pattern.includes("${")) throw unsupported(path, "variables in a resource are not resolved here");
  if (!pattern.startsWith("arn:")) throw malformed(path, `${quoted(pattern)} is not "*" or an ARN`);
  if (kind === "key" && !/^arn:[^:]+:(?:kms|\*):[^:]*:[^:]*:(?:key\/|\*)/.test(pattern))
    throw malformed(path, `${quoted(pattern)} is not "*" or the ARN of a key, as a key policy needs`);
  try {
    return compilePattern(tokensOf(pattern));
  } catch (cause) {
    if (cause instanceof RangeError) throw unsupported(path, cause.message);
    throw cause;
  }
}

function refuseUnknown(members: ReadonlyMap<string, unknown>, known: readonly string[], path: string): void {
  for (const name of members.keys())
    if (!known.includes(name)) throw unsupported(path, `the element ${quoted(name)} is not known`);
}

/** AWS asks the same: a Sid in a decision or an audit record must name one statement. */
function refuseRepeatedIds(statements: readonly CompiledStatement[]): void {
  const ids = new Set<string>();
  for (const { id } of statements) {
    if (ids.has(id)) throw malformed("Statement", `the Sid ${quoted(id)} is given twice`);
    ids.add(id);
  }
}
