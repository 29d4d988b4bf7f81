import { type Context, contextContains, contextEquals } from "../../crypto/context.ts";
import type { AuthorizationRequest } from "./request.ts";

/** The operations that a grant can hold: a closed set (AWS KMS, CreateGrant). */
export const grantOperations = [
  "CreateGrant",
  "Decrypt",
  "DeriveSharedSecret",
  "DescribeKey",
  "Encrypt",
  "GenerateDataKey",
  "GenerateDataKeyPair",
  "GenerateDataKeyPairWithoutPlaintext",
  "GenerateDataKeyWithoutPlaintext",
  "GenerateMac",
  "GetPublicKey",
  "ReEncryptFrom",
  "ReEncryptTo",
  "RetireGrant",
  "Sign",
  "Verify",
  "VerifyMac",
] as const;

export type GrantOperation = (typeof grantOperations)[number];

/** At most one of the two. Names and values are compared exactly, case included. */
export interface GrantConstraints {
  /** The request's context is this one. */
  readonly encryptionContextEquals?: Context;
  /** The request's context holds these pairs, and maybe more. */
  readonly encryptionContextSubset?: Context;
}

/** Lets one principal do some things with one master key, perhaps only under a context, perhaps until a time. */
export interface Grant {
  readonly id: string;
  readonly keyId: string;
  /** ARN of the principal that may use the key. */
  readonly grantee: string;
  /** ARN of the principal that may retire the grant. */
  readonly retiring?: string;
  readonly operations: readonly GrantOperation[];
  readonly constraints?: GrantConstraints;
  /** ISO 8601, UTC. The grant ends at this instant: a request at exactly this time is too late. */
  readonly notAfter?: string;
  readonly name?: string;
  /** Id of the grant by which the creator was allowed to create this one. */
  readonly parent?: string;
  readonly createdAt: string;
}

/** Operations that carry a context, and so are the ones that constraints bind. */
export const contextOperations: ReadonlySet<GrantOperation> = new Set<GrantOperation>([
  "Decrypt",
  "Encrypt",
  "GenerateDataKey",
  "GenerateDataKeyPair",
  "GenerateDataKeyPairWithoutPlaintext",
  "GenerateDataKeyWithoutPlaintext",
  "ReEncryptFrom",
  "ReEncryptTo",
]);

const operationOfAction: ReadonlyMap<string, GrantOperation> = new Map(
  grantOperations.map((operation) => [`kms:${operation}`, operation]),
);

const emptyContext: Context = {};

/**
 * Does this grant allow this request? Key, grantee, operation, end and constraints must all fit. Constraints are not asked
 * of operations that carry no context (DescribeKey, CreateGrant, …), as in AWS; a grant made by such a CreateGrant is
 * bound by `checkRegrant`.
 */
export function grantAllows(grant: Grant, request: AuthorizationRequest): boolean {
  const operation = operationOfAction.get(request.action);
  if (operation === undefined || !grant.operations.includes(operation)) return false;
  if (grant.grantee !== request.principal.arn) return false;
  if (request.resource?.kind !== "key" || request.resource.keyId !== grant.keyId) return false;
  if (!grantInForce(grant, request.now)) return false;
  return grant.constraints === undefined || !contextOperations.has(operation)
    ? true
    : constraintsHold(grant.constraints, request.context ?? emptyContext);
}

/** False from `notAfter` on, and when `notAfter` cannot be read. */
export function grantInForce(grant: Pick<Grant, "notAfter">, now: Date): boolean {
  return grant.notAfter === undefined || now.getTime() < Date.parse(grant.notAfter);
}

function constraintsHold(constraints: GrantConstraints, context: Context): boolean {
  const { encryptionContextEquals, encryptionContextSubset } = constraints;
  return (
    (encryptionContextEquals === undefined || contextEquals(context, encryptionContextEquals)) &&
    (encryptionContextSubset === undefined || contextContains(context, encryptionContextSubset))
  );
}

/** The retiring principal, and a grantee that was granted RetireGrant, may retire a grant; no policy is asked (AWS KMS). */
export function mayRetireGrant(grant: Grant, principalArn: string): boolean {
  return (
    grant.retiring === principalArn || (grant.grantee === principalArn && grant.operations.includes("RetireGrant"))
  );
}
