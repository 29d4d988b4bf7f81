import { type Context, contextContains, contextEquals } from "../../crypto/context.ts";
import { PolicyError, quoted } from "./errors.ts";
import { contextOperations, type Grant, type GrantConstraints, type GrantOperation, grantOperations } from "./grant.ts";
import { isPrincipalArn } from "./principal-element.ts";

/** What a new grant is to hold, before it has an id. */
export type NewGrant = Pick<Grant, "grantee" | "operations"> &
  Partial<Pick<Grant, "retiring" | "constraints" | "notAfter" | "name">>;

/** What the key is for, in policy spelling (`keyFacts`). */
export type GrantKeyUsage = "ENCRYPT_DECRYPT" | "SIGN_VERIFY" | "GENERATE_VERIFY_MAC" | "KEY_AGREEMENT";

/** AWS KMS: a grant constraint holds at most 8 pairs, each value at most 384 characters. */
const maxConstraintPairs = 8;
const maxConstraintValue = 384;

const forEveryKey: readonly GrantOperation[] = ["CreateGrant", "DescribeKey", "RetireGrant"];

/**
 * Checks a new grant on its own. What its creator may pass on is another question: `checkRegrant`.
 *
 * @param usage - Usage of the key, and whether it is symmetric (only such keys take a context).
 * @throws {PolicyError} `GRANT_INVALID`: an operation that is unknown, given twice or not for such a key; constraints that
 *   would bind nothing; an end that is not a time in the future; a malformed principal or name.
 */
export function checkNewGrant(grant: NewGrant, key: { usage: string; symmetric: boolean }, now: Date): void {
  checkPrincipal(grant.grantee, "grantee");
  if (grant.retiring !== undefined) checkPrincipal(grant.retiring, "retiring principal");
  if (grant.name !== undefined && !/^[a-zA-Z0-9:/_-]{1,256}$/.test(grant.name))
    throw invalid("name", "the name has 1 to 256 letters, digits or : / _ -");
  checkOperations(grant.operations, key);
  if (grant.constraints !== undefined) checkConstraints(grant.constraints, grant.operations, key);
  if (grant.notAfter !== undefined) checkEnd(grant.notAfter, now);
}

/**
 * Checks that a grant stays within what its creator holds by grant (AWS KMS, "Granting CreateGrant permission"): the same
 * or fewer operations, constraints at least as strict, an end no later.
 *
 * @param parents - The creator's own grants in force on this key.
 * @returns The grant that covers the new one: its `parent`.
 * @throws {PolicyError} `GRANT_INVALID` when no single one of them covers it.
 */
export function checkRegrant(grant: NewGrant, parents: readonly Grant[]): Grant {
  const parent = parents.find((each) => covers(each, grant));
  if (parent === undefined)
    throw invalid(
      "",
      "who creates a grant by right of a grant can pass on only what that grant holds, as strictly bound",
    );
  return parent;
}

function covers(parent: Grant, child: NewGrant): boolean {
  return (
    parent.operations.includes("CreateGrant") &&
    child.operations.every((operation) => parent.operations.includes(operation)) &&
    (parent.notAfter === undefined ||
      (child.notAfter !== undefined && Date.parse(child.notAfter) <= Date.parse(parent.notAfter))) &&
    atLeastAsStrict(child.constraints ?? {}, parent.constraints ?? {})
  );
}

function atLeastAsStrict(child: GrantConstraints, parent: GrantConstraints): boolean {
  const { encryptionContextEquals: equals, encryptionContextSubset: subset } = parent;
  const required = child.encryptionContextEquals ?? child.encryptionContextSubset;
  if (equals !== undefined)
    return child.encryptionContextEquals !== undefined && contextEquals(child.encryptionContextEquals, equals);
  return subset === undefined || (required !== undefined && contextContains(required, subset));
}

function checkPrincipal(arn: unknown, what: string): void {
  if (typeof arn !== "string" || !isPrincipalArn(arn)) throw invalid(what, "the ARN of one principal is expected");
}

function checkOperations(operations: readonly string[], key: { usage: string; symmetric: boolean }): void {
  if (!Array.isArray(operations) || operations.length === 0) throw invalid("operations", "at least one is expected");
  if (new Set(operations).size !== operations.length) throw invalid("operations", "an operation is given twice");
  const fitting = operationsFor(key);
  for (const operation of operations) {
    const known = grantOperations.find((each) => each === operation);
    if (known === undefined) throw invalid("operations", `${quoted(String(operation))} is not a grant operation`);
    if (!fitting.includes(known)) throw invalid("operations", `${known} is not for a key with usage ${key.usage}`);
  }
}

function operationsFor(key: { usage: string; symmetric: boolean }): readonly GrantOperation[] {
  if (key.usage === "SIGN_VERIFY") return [...forEveryKey, "GetPublicKey", "Sign", "Verify"];
  if (key.usage === "GENERATE_VERIFY_MAC") return [...forEveryKey, "GenerateMac", "VerifyMac"];
  if (key.usage === "KEY_AGREEMENT") return [...forEveryKey, "DeriveSharedSecret", "GetPublicKey"];
  if (key.usage !== "ENCRYPT_DECRYPT") return forEveryKey;
  return key.symmetric
    ? [...forEveryKey, ...contextOperations]
    : [...forEveryKey, "Decrypt", "Encrypt", "GetPublicKey", "ReEncryptFrom", "ReEncryptTo"];
}

function checkConstraints(
  constraints: GrantConstraints,
  operations: readonly GrantOperation[],
  key: { usage: string; symmetric: boolean },
): void {
  const { encryptionContextEquals: equals, encryptionContextSubset: subset, ...unknown } = constraints;
  if (Object.keys(unknown).length > 0)
    throw invalid("constraints", `${quoted(Object.keys(unknown)[0] ?? "")} is not a constraint`);
  if ((equals === undefined) === (subset === undefined))
    throw invalid("constraints", "exactly one of encryptionContextEquals and encryptionContextSubset is expected");
  if (key.usage !== "ENCRYPT_DECRYPT" || !key.symmetric || !operations.some((each) => contextOperations.has(each)))
    throw invalid("constraints", "a context binds only cryptographic operations with a symmetric key for encryption");
  checkPairs(equals ?? subset ?? {}, subset !== undefined);
}

function checkPairs(pairs: Context, isSubset: boolean): void {
  if (typeof pairs !== "object" || pairs === null || Array.isArray(pairs))
    throw invalid("constraints", "a map of names and values is expected");
  const entries = Object.entries(pairs);
  if (isSubset && entries.length === 0) throw invalid("constraints", "an empty subset binds nothing; leave it out");
  if (entries.length > maxConstraintPairs) throw invalid("constraints", `more than ${maxConstraintPairs} pairs`);
  for (const [name, value] of entries) {
    if (typeof value !== "string" || !value.isWellFormed() || value.length > maxConstraintValue)
      throw invalid(
        "constraints",
        `the value of ${quoted(name)} is not a text of at most ${maxConstraintValue} characters`,
      );
    if (name === "" || !name.isWellFormed() || Buffer.byteLength(name) > 256)
      throw invalid("constraints", "a name is empty, ill-formed or over 256 bytes");
  }
}

function checkEnd(notAfter: string, now: Date): void {
  const endMs = typeof notAfter === "string" ? Date.parse(notAfter) : Number.NaN;
  if (Number.isNaN(endMs) || new Date(endMs).toISOString() !== notAfter)
    throw invalid("notAfter", "a time such as 2026-11-21T08:30:00.000Z is expected");
  if (endMs <= now.getTime()) throw invalid("notAfter", "the end is not in the future");
}

function invalid(path: string, what: string): PolicyError {
  return new PolicyError("GRANT_INVALID", what, path);
}
