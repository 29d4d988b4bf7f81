import { splitArn } from "./arn.ts";
import { type ConditionKey, type Fact, type FactFamily, findConditionKey } from "./condition-keys.ts";
import {
  compileTemplate,
  parseTemplate,
  splitArnTemplate,
  type TemplateMatcher,
  variablesOf,
} from "./condition-template.ts";
import {
  ipRangeHolds,
  parseIpAddress,
  parseIpRange,
  parsePolicyBool,
  parsePolicyDate,
  parsePolicyNumber,
} from "./condition-values.ts";
import { malformed, quoted, unsupported } from "./errors.ts";
import { asObject, asScalars } from "./json-shape.ts";
import type { AuthorizationRequest } from "./request.ts";

export type Effect = "Allow" | "Deny";
export type Condition = (request: AuthorizationRequest) => boolean;

/** One policy value, ready to be compared. */
type Comparison = (fact: Fact, request: AuthorizationRequest) => boolean;

interface Operator {
  readonly family: FactFamily;
  readonly negated: boolean;
  readonly compile: (value: string, place: Place) => Comparison;
}

interface Place {
  readonly path: string;
  /** `${…}` has a meaning: Version 2012-10-17. */
  readonly variables: boolean;
}

/**
 * Compiles a Condition element: operators and keys within it are joined by AND, values of one key by OR (NOR for negated
 * operators), as the IAM User Guide, "Condition operators" and "Multivalued context keys", says.
 *
 * Where the guide leaves a case open, `effect` decides for the narrower side: an Allow does not apply and a Deny does.
 *
 * @throws {PolicyError} `POLICY_MALFORMED`, or `POLICY_UNSUPPORTED` for an operator, key or combination that would have to
 *   be ignored.
 */
export function compileConditions(element: unknown, effect: Effect, place: Place): readonly Condition[] {
  const conditions: Condition[] = [];
  for (const [operatorName, keys] of asObject(element, place.path)) {
    const operatorPath = `${place.path}[${quoted(operatorName)}]`;
    const pairs = asObject(keys, operatorPath);
    if (pairs.length === 0) throw malformed(operatorPath, "no condition key is given");
    for (const [keyName, value] of pairs) {
      const path = `${operatorPath}[${quoted(keyName)}]`;
      const key = findConditionKey(keyName);
      if (key === undefined) throw unsupported(path, `the condition key ${quoted(keyName)} is not evaluated here`);
      const values = asScalars(value, path);
      conditions.push(compileCondition(operatorName, key, values, effect, { path, variables: place.variables }));
    }
  }
  return conditions;
}

const forAll = "ForAllValues:";
const forAny = "ForAnyValue:";
const ifExists = "IfExists";

function compileCondition(
  operatorName: string,
  key: ConditionKey,
  values: readonly string[],
  effect: Effect,
  place: Place,
): Condition {
  if (operatorName === "Null") return compileNull(key, values, place.path);
  const set = operatorName.startsWith(forAll) ? forAll : operatorName.startsWith(forAny) ? forAny : "";
  const tolerant = operatorName.endsWith(ifExists);
  const operator = operators.get(operatorName.slice(set.length, tolerant ? -ifExists.length : undefined));
  if (operator === undefined)
    throw unsupported(place.path, `the operator ${quoted(operatorName)} is not evaluated here`);
  if (!key.families.includes(operator.family) && !(operator.family === "string" && key.families.includes("bool")))
    throw malformed(place.path, `the operator ${operatorName} does not fit a key of type ${key.families.join(" or ")}`);
  if (key.multiValued && set === "")
    throw malformed(place.path, "a key with several values needs ForAllValues: or ForAnyValue: before the operator");
  if (!key.multiValued && set === forAll)
    throw malformed(place.path, "ForAllValues: with a single-valued key also matches requests without it; remove it");

  const comparisons = values.map((value) => operator.compile(value, place));
  const holds = (fact: Fact, request: AuthorizationRequest): boolean =>
    comparisons.some((compare) => compare(fact, request)) !== operator.negated;
  const whenMissing = tolerant || set === forAll || (set === "" && operator.negated);
  const every = set === forAll || (set === "" && effect === "Allow");
  const condition: Condition = (request) => {
    const facts = key.read(request);
    if (facts.length === 0) return whenMissing;
    return every ? facts.every((fact) => holds(fact, request)) : facts.some((fact) => holds(fact, request));
  };
  const variables = values.flatMap((value) =>
    place.variables && (operator.family === "string" || operator.family === "arn")
      ? variablesOf(parseTemplate(value, { wildcards: false, variables: true, path: place.path }))
      : [],
  );
  if (variables.length === 0) return condition;
  return (request) =>
    variables.every((variable) => variable.read(request) !== undefined) ? condition(request) : effect === "Deny";
}

/** `Null: true` holds when the key is absent, `Null: false` when it is there. */
function compileNull(key: ConditionKey, values: readonly string[], path: string): Condition {
  const wanted = values.map((value) => need(parsePolicyBool(value), path, "true or false", value));
  return (request) => wanted.includes(key.read(request).length === 0);
}

function need<T>(parsed: T | undefined, path: string, expected: string, value: string): T {
  if (parsed === undefined) throw malformed(path, `${quoted(value)} is not ${expected}`);
  return parsed;
}

function stringOperator(options: { wildcards?: boolean; ignoreCase?: boolean; negated?: boolean }): Operator {
  const fold = options.ignoreCase === true ? (text: string) => text.toLowerCase() : undefined;
  return {
    family: "string",
    negated: options.negated === true,
    compile: (value, { path, variables }) => {
      const tokens = parseTemplate(value, { wildcards: options.wildcards === true, variables, path });
      const matches = compileTemplate(tokens, path, fold);
      return (fact, request) => matches(String(fact), request);
    },
  };
}

/** Each of the six colon-delimited parts is matched on its own, so that a `*` never reaches over a colon. */
function arnOperator(negated: boolean): Operator {
  return {
    family: "arn",
    negated,
    compile: (value, { path, variables }) => {
      const parts = splitArnTemplate(parseTemplate(value, { wildcards: true, variables, path }));
      if (parts === undefined) throw malformed(path, `${quoted(value)} is not an ARN of six parts`);
      const matchers: readonly TemplateMatcher[] = parts.map((part) => compileTemplate(part, path));
      return (fact, request) => {
        const fields = splitArn(String(fact));
        return fields !== undefined && matchers.every((matches, index) => matches(fields[index] ?? "", request));
      };
    },
  };
}

type NumberTest = (fact: number, value: number) => boolean;

function numberOperator(family: "number" | "date", holds: NumberTest, negated = false): Operator {
  return {
    family,
    negated,
    compile: (value, { path }) => {
      const limit =
        family === "date"
          ? need(parsePolicyDate(value), path, "a date (2026-11-21, 2026-11-21T08:30:00Z or Unix seconds)", value)
          : need(parsePolicyNumber(value), path, "a number", value);
      return (fact) => typeof fact === "number" && holds(fact, limit);
    },
  };
}

function ipOperator(negated: boolean): Operator {
  return {
    family: "ip",
    negated,
    compile: (value, { path }) => {
      const range = need(parseIpRange(value), path, "an IP address or CIDR range", value);
      return (fact) => {
        const address = parseIpAddress(String(fact));
        return address !== undefined && ipRangeHolds(range, address);
      };
    },
  };
}

const boolOperator: Operator = {
  family: "bool",
  negated: false,
  compile: (value, { path }) => {
    const wanted = need(parsePolicyBool(value), path, "true or false", value);
    return (fact) => fact === wanted;
  },
};

const equals: NumberTest = (fact, value) => fact === value;
const less: NumberTest = (fact, value) => fact < value;
const lessOrEqual: NumberTest = (fact, value) => fact <= value;
const greater: NumberTest = (fact, value) => fact > value;
const greaterOrEqual: NumberTest = (fact, value) => fact >= value;

const operators: ReadonlyMap<string, Operator> = new Map<string, Operator>([
  ["StringEquals", stringOperator({})],
  ["StringNotEquals", stringOperator({ negated: true })],
  ["StringEqualsIgnoreCase", stringOperator({ ignoreCase: true })],
  ["StringNotEqualsIgnoreCase", stringOperator({ ignoreCase: true, negated: true })],
  ["StringLike", stringOperator({ wildcards: true })],
  ["StringNotLike", stringOperator({ wildcards: true, negated: true })],
  ["ArnEquals", arnOperator(false)],
  ["ArnLike", arnOperator(false)],
  ["ArnNotEquals", arnOperator(true)],
  ["ArnNotLike", arnOperator(true)],
  ["Bool", boolOperator],
  ["IpAddress", ipOperator(false)],
  ["NotIpAddress", ipOperator(true)],
  ...(["number", "date"] as const).flatMap((family): [string, Operator][] => {
    const prefix = family === "number" ? "Numeric" : "Date";
    return [
      [`${prefix}Equals`, numberOperator(family, equals)],
      [`${prefix}NotEquals`, numberOperator(family, equals, true)],
      [`${prefix}LessThan`, numberOperator(family, less)],
      [`${prefix}LessThanEquals`, numberOperator(family, lessOrEqual)],
      [`${prefix}GreaterThan`, numberOperator(family, greater)],
      [`${prefix}GreaterThanEquals`, numberOperator(family, greaterOrEqual)],
    ];
  }),
]);
