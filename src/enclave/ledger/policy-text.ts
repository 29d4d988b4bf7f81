import { create, toBinary } from "@bufbuild/protobuf";
import { EnclaveError } from "../errors.ts";
import {
  MSPPrincipalSchema,
  MSPRoleSchema,
  type SignaturePolicy,
  SignaturePolicy_NOutOfSchema,
  SignaturePolicyEnvelopeSchema,
  SignaturePolicySchema,
} from "../messages/generated/fabric/common_pb.ts";
import { ApplicationPolicySchema } from "../messages/generated/fabric/peer_pb.ts";
import { readMessage } from "./fabric-message.ts";
import { EndorsementPolicy, roleNumbers } from "./signature-policy.ts";

const longestText = 4096;
const maxDepth = 8;
/** As Fabric has it: the role is what comes after the last dot. */
const principalPattern = /^([A-Za-z0-9][A-Za-z0-9.-]*)\.(member|admin|client|peer|orderer)$/;

/** An endorsement policy that was read from text. */
export interface WrittenPolicy {
  /** protos.ApplicationPolicy. */
  readonly policy: Buffer;
  /** Organisations that it names, each once, in the order in which they come. */
  readonly mspIds: readonly string[];
}

/**
 * Reads an endorsement policy as Fabric's command line takes it: `OutOf(2, 'Org1MSP.peer', 'Org2MSP.peer', 'Org3MSP.peer')`,
 * `AND(…)`, `OR(…)`, one in another, with principals in single or double quotes.
 *
 * @throws EnclaveError MALFORMED, with the place in the text
 */
export function parsePolicy(text: string): WrittenPolicy {
  if (text.length > longestText) throw malformed(`is longer than ${longestText} characters`);
  const parser = new Parser(text);
  const rule = parser.whole();
  const identities = parser.principals.map(({ mspId, role }) =>
    create(MSPPrincipalSchema, {
      principal: toBinary(MSPRoleSchema, create(MSPRoleSchema, { mspIdentifier: mspId, role: roleNumbers[role] })),
    }),
  );
  const value = create(SignaturePolicyEnvelopeSchema, { rule, identities });
  const policy = toBinary(
    ApplicationPolicySchema,
    create(ApplicationPolicySchema, { type: { case: "signaturePolicy", value } }),
  );
  const mspIds = [...new Set(parser.principals.map(({ mspId }) => mspId))];
  // Throws what is wrong with its rules.
  new EndorsementPolicy(policy, mspIds);
  return { policy: Buffer.from(policy), mspIds };
}

/** An endorsement policy as {@link parsePolicy} takes it; one of the channel's configuration by its name. */
export function formatPolicy(policy: Uint8Array): string {
  const { type } = readMessage(ApplicationPolicySchema, policy);
  if (type.case === "channelConfigPolicyReference") return type.value;
  if (type.case !== "signaturePolicy" || type.value.rule === undefined) throw malformed("is of no known kind");
  const principals = type.value.identities.map(({ principal }) => {
    const { mspIdentifier, role } = readMessage(MSPRoleSchema, principal);
    const name = Object.entries(roleNumbers).find(([, number]) => number === role)?.[0] ?? `role ${role}`;
    return `'${mspIdentifier}.${name}'`;
  });
  return formatRule(type.value.rule, principals);
}

function formatRule({ type }: SignaturePolicy, principals: readonly string[]): string {
  if (type.case === "signedBy") return principals[type.value] ?? "?";
  if (type.case !== "nOutOf") return "?";
  const { n, rules } = type.value;
  const parts = rules.map((rule) => formatRule(rule, principals)).join(", ");
  if (rules.length > 1 && n === rules.length) return `AND(${parts})`;
  if (rules.length > 1 && n === 1) return `OR(${parts})`;
  return `OutOf(${n}, ${parts})`;
}

interface Principal {
  readonly mspId: string;
  readonly role: keyof typeof roleNumbers;
}

class Parser {
  readonly principals: Principal[] = [];
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  whole(): SignaturePolicy {
    const rule = this.#rule(0);
    if (this.#take(/\s*/y) !== undefined && this.#at < this.#text.length) throw this.#unexpected("the end");
    return rule;
  }

  #rule(depth: number): SignaturePolicy {
    if (depth > maxDepth) throw malformed("has rules too deep in one another");
    const operator = this.#take(/\s*(AND|OR|OutOf)\s*\(/iy)?.toLowerCase();
    if (operator === undefined) return this.#principal();
    let count: number | undefined;
    if (operator === "outof") {
      count = Number(this.#take(/\s*(\d{1,3})\s*,/y) ?? Number.NaN);
      if (Number.isNaN(count)) throw this.#unexpected("how many, and a comma");
    }
    const rules = [this.#rule(depth + 1)];
    while (this.#take(/\s*(,)/y) !== undefined) rules.push(this.#rule(depth + 1));
    if (this.#take(/\s*(\))/y) === undefined) throw this.#unexpected("a comma or a closing parenthesis");
    const n = count ?? (operator === "and" ? rules.length : 1);
    const nOutOf = create(SignaturePolicy_NOutOfSchema, { n, rules });
    return create(SignaturePolicySchema, { type: { case: "nOutOf", value: nOutOf } });
  }

  #principal(): SignaturePolicy {
    const name = this.#take(/\s*'([^']*)'/y) ?? this.#take(/\s*"([^"]*)"/y);
    if (name === undefined) throw this.#unexpected("AND, OR, OutOf or a principal such as 'Org1MSP.peer'");
    const [, mspId, role] = principalPattern.exec(name) ?? [];
    if (mspId === undefined || role === undefined) throw this.#unexpected("a principal such as 'Org1MSP.peer' before");
    const known = this.principals.findIndex((one) => one.mspId === mspId && one.role === role);
    const value = known < 0 ? this.principals.push({ mspId, role: role as Principal["role"] }) - 1 : known;
    return create(SignaturePolicySchema, { type: { case: "signedBy", value } });
  }

  /** What `pattern`, which is sticky, finds here: its first group, or all of it. */
  #take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text);
    if (match === null) return undefined;
    this.#at = pattern.lastIndex;
    return match[1] ?? match[0];
  }

  #unexpected(expected: string): EnclaveError {
    return malformed(`has at character ${this.#at + 1} something else than ${expected}`);
  }
}

function malformed(how: string): EnclaveError {
  return new EnclaveError("MALFORMED", `the endorsement policy ${how}`, {
    hint: "write it as Fabric does: OutOf(2, 'Org1MSP.peer', 'Org2MSP.peer', 'Org3MSP.peer'), AND(…), OR(…)",
  });
}
