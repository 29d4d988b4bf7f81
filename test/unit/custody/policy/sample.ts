import type { ActionName } from "../../../../src/custody/policy/actions.ts";
import type { Grant } from "../../../../src/custody/policy/grant.ts";
import {
  type CompiledPolicy,
  parseIdentityPolicy,
  parseKeyPolicy,
} from "../../../../src/custody/policy/policy-document.ts";
import type { AuthorizationRequest, KeyResource } from "../../../../src/custody/policy/request.ts";

export const account = "111122223333";
export const otherAccount = "444455556666";
export const alice = `arn:aws:iam::${account}:user/alice`;
export const bob = `arn:aws:iam::${account}:user/bob`;
export const nodeOne = `arn:aws:iam::${account}:node/node-1`;
export const root = `arn:aws:iam::${account}:root`;
export const keyId = "1234abcd-12ab-34cd-56ef-1234567890ab";
export const keyArn = `arn:aws:kms:local:${account}:key/${keyId}`;
export const now = new Date("2026-11-21T08:30:15.250Z");

export const key: KeyResource = {
  kind: "key",
  keyId,
  arn: keyArn,
  account,
  aliases: ["alias/nodes", "alias/main"],
  spec: "SYMMETRIC_DEFAULT",
  usage: "ENCRYPT_DECRYPT",
  origin: "AWS_KMS",
  tags: { team: "ledger" },
};

/** A Decrypt by alice with the key, changed as given. */
export function request(changes: Partial<AuthorizationRequest> = {}): AuthorizationRequest {
  return {
    principal: { arn: alice, account, type: "User" },
    action: "kms:Decrypt",
    resource: key,
    context: { node: "node-1", network: "consortium" },
    sourceIp: "192.0.2.7",
    secureTransport: true,
    now,
    ...changes,
  };
}

/** A request by another principal, its account read from its ARN. */
export function by(arn: string, changes: Partial<AuthorizationRequest> = {}): AuthorizationRequest {
  return request({ principal: { arn, account: arn.split(":")[4] ?? "", type: "User" }, ...changes });
}

/** A request about no key. */
export function about(action: ActionName, changes: Partial<AuthorizationRequest> = {}): AuthorizationRequest {
  return request({ action, resource: undefined, context: undefined, ...changes });
}

type Parts = Readonly<Record<string, unknown>>;

export function keyPolicy(...statements: readonly Parts[]): CompiledPolicy {
  return parseKeyPolicy(keyPolicyText(...statements));
}

/** Statements of a key policy: by default they allow everyone everything. */
export function keyPolicyText(...statements: readonly Parts[]): string {
  return JSON.stringify({
    Version: "2012-10-17",
    Statement: statements.map((parts) => withDefaults(parts, { Principal: "*" })),
  });
}

export function identityPolicy(...statements: readonly Parts[]): CompiledPolicy {
  return parseIdentityPolicy(
    JSON.stringify({ Version: "2012-10-17", Statement: statements.map((parts) => withDefaults(parts, {})) }),
  );
}

function withDefaults(parts: Parts, more: Parts): Parts {
  const statement: Record<string, unknown> = { Effect: "Allow", Action: "kms:*", Resource: "*", ...more, ...parts };
  for (const name of ["Action", "Resource", "Principal"]) if (`Not${name}` in parts) delete statement[name];
  return statement;
}

export function grant(changes: Partial<Grant> = {}): Grant {
  return {
    id: "grant-1",
    keyId,
    grantee: nodeOne,
    operations: ["Decrypt", "GenerateDataKey"],
    createdAt: "2026-11-01T00:00:00.000Z",
    ...changes,
  };
}
