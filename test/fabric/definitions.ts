import { common, msp, peer } from "@hyperledger/fabric-protos";
import { readIdentity } from "./organisation.ts";
import type { Simulation, Write } from "./world-state.ts";

export interface Definition {
  readonly version: string;
  readonly sequence: number;
  /** common.SignaturePolicyEnvelope. */
  readonly policy: Uint8Array;
}

const { lifecycle } = peer;

export const namespace = "_lifecycle";

/** `_lifecycle` as chaincode and peers ask it: the definitions are records of its namespace, so a read of one is in the read set. */
export class Definitions {
  readonly #simulation: Simulation;

  constructor(simulation: Simulation) {
    this.#simulation = simulation;
  }

  get(name: string): Definition | undefined {
    const bytes = this.#simulation.get(namespace, name);
    if (bytes === undefined) return undefined;
    const { version, sequence, policy } = JSON.parse(Buffer.from(bytes).toString());
    return { version, sequence, policy: Buffer.from(policy, "base64") };
  }

  /** Chaincode calls another one; of this peer's, only `_lifecycle` may be called. */
  invoke(chaincode: string, args: readonly Uint8Array[]): InstanceType<typeof peer.Response> {
    const response = new peer.Response();
    const [query = new Uint8Array(), bytes = new Uint8Array()] = args;
    if (chaincode !== namespace || Buffer.from(query).toString() !== "QueryChaincodeDefinition")
      throw new Error(`this peer lets no chaincode call ${chaincode}`);
    const name = lifecycle.QueryChaincodeDefinitionArgs.deserializeBinary(bytes).getName();
    const definition = this.get(name);
    if (definition === undefined) {
      response.setStatus(404);
      response.setMessage(`namespace ${name} is not defined`);
      return response;
    }
    const application = new peer.ApplicationPolicy();
    application.setSignaturePolicy(common.SignaturePolicyEnvelope.deserializeBinary(definition.policy));
    const result = new lifecycle.QueryChaincodeDefinitionResult();
    result.setSequence(definition.sequence);
    result.setVersion(definition.version);
    result.setEndorsementPlugin("escc");
    result.setValidationPlugin("vscc");
    result.setValidationParameter(application.serializeBinary());
    response.setStatus(200);
    response.setPayload(result.serializeBinary());
    return response;
  }
}

export function toWrite(name: string, { version, sequence, policy }: Definition): Write {
  const text = JSON.stringify({ version, sequence, policy: Buffer.from(policy).toString("base64") });
  return { key: name, value: Buffer.from(text) };
}

/** Endorsements by peers of so many of these organisations. */
export function policyOf(count: number, mspIds: readonly string[]): Uint8Array {
  const envelope = new common.SignaturePolicyEnvelope();
  const outOf = new common.SignaturePolicy.NOutOf();
  outOf.setN(count);
  for (const [index, mspId] of mspIds.entries()) {
    const role = new msp.MSPRole();
    role.setMspIdentifier(mspId);
    role.setRole(msp.MSPRole.MSPRoleType.PEER);
    const principal = new msp.MSPPrincipal();
    principal.setPrincipalClassification(msp.MSPPrincipal.Classification.ROLE);
    principal.setPrincipal(role.serializeBinary());
    envelope.addIdentities(principal);
    const signedBy = new common.SignaturePolicy();
    signedBy.setSignedBy(index);
    outOf.addRules(signedBy);
  }
  const rule = new common.SignaturePolicy();
  rule.setNOutOf(outOf);
  envelope.setRule(rule);
  return envelope.serializeBinary();
}

/** Whether a policy of {@link policyOf} has enough in these endorsers, whose signatures are verified already. */
export function isSatisfied(policy: Uint8Array, endorsers: readonly Uint8Array[]): boolean {
  const envelope = common.SignaturePolicyEnvelope.deserializeBinary(policy);
  const peers = new Set(
    endorsers
      .map(readIdentity)
      .filter(({ certificate }) => certificate.subject.split("\n").includes("OU=peer"))
      .map(({ mspId }) => mspId),
  );
  const named = organisationsOf(policy).filter((mspId) => peers.has(mspId));
  return named.length >= (envelope.getRule()?.getNOutOf()?.getN() ?? Number.POSITIVE_INFINITY);
}

export function organisationsOf(policy: Uint8Array): readonly string[] {
  return common.SignaturePolicyEnvelope.deserializeBinary(policy)
    .getIdentitiesList()
    .map((principal) => msp.MSPRole.deserializeBinary(principal.getPrincipal_asU8()).getMspIdentifier());
}
