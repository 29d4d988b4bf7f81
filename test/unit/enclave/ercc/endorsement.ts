import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  MSPRoleSchema,
  type SignaturePolicySchema,
} from "../../../../src/enclave/messages/generated/fabric/common_pb.ts";
import { ApplicationPolicySchema } from "../../../../src/enclave/messages/generated/fabric/peer_pb.ts";

export type Rule = MessageInitShape<typeof SignaturePolicySchema>;

export const roles = { member: 0, admin: 1, client: 2, peer: 3, orderer: 4 } as const;

export function signedBy(index: number): Rule {
  return { type: { case: "signedBy", value: index } };
}

export function outOf(n: number, ...rules: Rule[]): Rule {
  return { type: { case: "nOutOf", value: { n, rules } } };
}

export interface Principal {
  readonly mspId: string;
  readonly role?: number;
  readonly classification?: number;
}

/** protos.ApplicationPolicy of a rule over principals. */
export function applicationPolicy(rule: Rule | undefined, principals: readonly Principal[]): Uint8Array {
  const identities = principals.map(({ mspId, role = roles.peer, classification = 0 }) => ({
    principalClassification: classification,
    principal: toBinary(MSPRoleSchema, create(MSPRoleSchema, { mspIdentifier: mspId, role })),
  }));
  const value = { version: 0, identities, ...(rule === undefined ? {} : { rule }) };
  return toBinary(
    ApplicationPolicySchema,
    create(ApplicationPolicySchema, { type: { case: "signaturePolicy", value } }),
  );
}

/** Any one peer of these organisations. */
export function endorsement(organisations: readonly string[]): Uint8Array {
  const rules = organisations.map((_, index) => signedBy(index));
  return applicationPolicy(
    outOf(1, ...rules),
    organisations.map((mspId) => ({ mspId })),
  );
}
