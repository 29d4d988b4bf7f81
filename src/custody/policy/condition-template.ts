import { foldAscii, policyVariables } from "./condition-keys.ts";
import { quoted, unsupported } from "./errors.ts";
import type { AuthorizationRequest } from "./request.ts";
import { anyOne, compilePattern, type Matcher, type PatternToken, star, tokensOf } from "./wildcard.ts";

/** Stands in a pattern for a value that the request brings. */
interface Variable {
  readonly name: string;
  readonly read: (request: AuthorizationRequest) => string | undefined;
}

export type TemplateToken = PatternToken | Variable;

/**
 * Cuts a condition's value into text, wildcards (when `wildcards`) and `${…}` variables. `${*}`, `${?}` and `${$}` are
 * those characters themselves. A variable's value never acts as a wildcard.
 *
 * @throws {PolicyError} `POLICY_UNSUPPORTED` for a variable that is not resolved here: taken as plain text, a Deny that
 *   rests on it would never apply.
 */
export function parseTemplate(
  text: string,
  options: { readonly wildcards: boolean; readonly variables: boolean; readonly path: string },
): readonly TemplateToken[] {
  const { wildcards, variables, path } = options;
  const tokens: TemplateToken[] = [];
  let rest = text;
  for (let start = rest.indexOf("${"); start >= 0; start = rest.indexOf("${")) {
    if (!variables) throw unsupported(path, "a variable ($ and braces) is resolved only under Version 2012-10-17");
    const end = rest.indexOf("}", start);
    if (end < 0) throw unsupported(path, "a variable ($ and braces) is not closed");
    tokens.push(...plainTokens(rest.slice(0, start), wildcards), variableToken(rest.slice(start + 2, end), path));
    rest = rest.slice(end + 1);
  }
  tokens.push(...plainTokens(rest, wildcards));
  return tokens;
}

function plainTokens(text: string, wildcards: boolean): readonly PatternToken[] {
  if (text === "") return [];
  return wildcards ? tokensOf(text) : [text];
}

function variableToken(name: string, path: string): TemplateToken {
  if (name === "*" || name === "?" || name === "$") return name;
  const read = policyVariables.get(foldAscii(name));
  if (read === undefined) throw unsupported(path, `the variable ${quoted(name)} is not resolved here`);
  return { name, read };
}

export function isVariable(token: TemplateToken): token is Variable {
  return typeof token === "object";
}

/** The variables' readers, for the check that all of them have a value in a request. */
export function variablesOf(tokens: readonly TemplateToken[]): readonly Variable[] {
  return tokens.filter(isVariable);
}

export type TemplateMatcher = (text: string, request: AuthorizationRequest) => boolean;

/**
 * Compiles a template once; one with variables is completed at each request.
 *
 * @throws {PolicyError} `POLICY_UNSUPPORTED` for a pattern that cannot be matched in linear time.
 */
export function compileTemplate(
  tokens: readonly TemplateToken[],
  path: string,
  fold: (text: string) => string = (text) => text,
): TemplateMatcher {
  const foldToken = (token: PatternToken): PatternToken => (typeof token === "string" ? fold(token) : token);
  const variables = variablesOf(tokens);
  const fixed = tokens.map((token) => (isVariable(token) ? "" : foldToken(token)));
  const matcher = compileOrRefuse(fixed, path);
  if (variables.length === 0) return (text) => matcher(fold(text));
  if (tokens.includes(anyOne) && tokens.includes(star))
    throw unsupported(
      path,
      "a value holds a variable, * and ? together; use at most one kind of wildcard with a variable",
    );
  return (text, request) => {
    const complete = tokens.map((token) => foldToken(isVariable(token) ? (token.read(request) ?? "") : token));
    return compilePattern(complete)(fold(text));
  };
}

function compileOrRefuse(tokens: readonly PatternToken[], path: string): Matcher {
  try {
    return compilePattern(tokens);
  } catch (cause) {
    if (cause instanceof RangeError) throw unsupported(path, cause.message);
    throw cause;
  }
}

/** Splits a template at its first five literal colons: the six parts of an ARN; undefined when there are fewer. */
export function splitArnTemplate(tokens: readonly TemplateToken[]): readonly (readonly TemplateToken[])[] | undefined {
  const parts: TemplateToken[][] = [[]];
  for (const token of tokens) {
    if (typeof token !== "string") {
      parts.at(-1)?.push(token);
      continue;
    }
    let rest = token;
    for (let colon = rest.indexOf(":"); colon >= 0 && parts.length < 6; colon = rest.indexOf(":")) {
      if (colon > 0) parts.at(-1)?.push(rest.slice(0, colon));
      parts.push([]);
      rest = rest.slice(colon + 1);
    }
    if (rest !== "") parts.at(-1)?.push(rest);
  }
  return parts.length === 6 && parts[0]?.length === 1 && parts[0][0] === "arn" ? parts : undefined;
}
