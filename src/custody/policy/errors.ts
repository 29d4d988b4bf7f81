/** Every way a policy document or a grant can be refused. Codes are API; messages are for people. */
export const policyErrors = {
  POLICY_MALFORMED: "the document does not follow the grammar of AWS policies",
  POLICY_UNSUPPORTED: "the document uses an element, operator, key or action that is not evaluated here",
  POLICY_LOCKOUT: "the new key policy would leave its author unable to change it again",
  GRANT_INVALID: "the grant's operations, constraints, principal or end are not acceptable",
} as const;

export type PolicyErrorCode = keyof typeof policyErrors;

export class PolicyError extends Error {
  override readonly name = "PolicyError";
  readonly code: PolicyErrorCode;
  /** Where in the document, such as `Statement[0].Condition.StringEquals`; empty for the document as a whole. */
  readonly path: string;

  constructor(code: PolicyErrorCode, what: string = policyErrors[code], path = "", cause?: unknown) {
    super(path === "" ? what : `${path}: ${what}`, cause === undefined ? undefined : { cause });
    this.code = code;
    this.path = path;
  }
}

/** Something the grammar does not allow. */
export function malformed(path: string, what: string): PolicyError {
  return new PolicyError("POLICY_MALFORMED", what, path);
}

/** Something that is grammatical, but that this engine would have to ignore. It refuses instead. */
export function unsupported(path: string, what: string): PolicyError {
  return new PolicyError("POLICY_UNSUPPORTED", what, path);
}

/** A name from a document as it may stand in a message: quoted, cut at 64 characters, nothing invisible left as it is. */
export function quoted(name: string): string {
  return JSON.stringify(name.length > 64 ? `${name.slice(0, 64)}…` : name).replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`,
  );
}
