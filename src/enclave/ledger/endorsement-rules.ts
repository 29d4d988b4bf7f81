import { create } from "@bufbuild/protobuf";
import type { Endorsement } from "../messages/generated/fabric/peer_pb.ts";
import { KVRWSetSchema } from "../messages/generated/fabric/rwset_pb.ts";
import { certificateName } from "./certificate-parts.ts";
import type { CommittedState } from "./committed-state.ts";
import { builtinPlugins, lifecycleName, readCollections, readValidation } from "./definitions.ts";
import { isSignedToFabric } from "./go-signature.ts";
import type { JudgedIdentity, Membership } from "./membership.ts";
import {
  implicitOrganisation,
  isFollowed,
  type NamespaceSet,
  partOf,
  type ReadWriteSets,
  writtenParts,
} from "./read-write-sets.ts";
import { channelPolicies, EndorsementPolicy, policyOf, policyReference } from "./signature-policy.ts";
import { type ValidationCode, validationCodes } from "./validation-codes.ts";

/** What is found of a transaction: a code, or why it cannot be told here whether Fabric's peers take it. */
export type Judgement = { readonly code: ValidationCode } | { readonly undecided: string };

const valid: Judgement = { code: validationCodes.VALID };
const refused: Judgement = { code: validationCodes.ENDORSEMENT_POLICY_FAILURE };

/** Whose endorsements count and what they have to satisfy. */
export interface EndorsementContext {
  /** Of the channel's application organisations. */
  readonly mspIds: readonly string[];
  /** Distinct, their signatures verified. */
  readonly endorsers: readonly JudgedIdentity[];
  /** Before the block. */
  readonly state: CommittedState;
  /** Why a part of the state is not known any more. */
  readonly whyUnknown: (part: string) => string | undefined;
}

/** Each identity once, in doubt or not, whose signature over the response is right; others are passed over. */
export function endorsersOf(
  responsePayload: Uint8Array,
  endorsements: readonly Endorsement[],
  signers: Membership,
): readonly JudgedIdentity[] {
  const endorsers = new Map<string, JudgedIdentity>();
  for (const { endorser, signature } of endorsements) {
    const identity = signers.judge(endorser);
    if (identity === undefined) continue;
    const name = `${identity.mspId} ${certificateName(identity.certificate.raw).toString("base64")}`;
    if (endorsers.has(name)) continue;
    if (isSignedToFabric(Buffer.concat([responsePayload, endorser]), signature, identity.key))
      endorsers.set(name, identity);
  }
  return [...endorsers.values()];
}

/**
 * The namespaces whose policies a transaction has to satisfy: that of the chaincode which was called, and each that it writes.
 *
 * @param called - Name of the chaincode
 */
export function namespacesToJudge(called: string, sets: ReadWriteSets): readonly NamespaceSet[] {
  const own = sets.find(({ namespace }) => namespace === called);
  const others = sets.filter((one) => one.namespace !== called && writtenParts([one]).length > 0);
  return [own ?? { namespace: called, set: create(KVRWSetSchema), collections: [] }, ...others];
}

/**
 * Judges the endorsement of what is written under one chaincode's name, as Fabric's built-in validation does (`vscc` of 2.0 and later): the
 * definition's policy, that of a collection that has one, or for an organisation's implicit collection that organisation's. What it does beyond
 * (policies of single keys, other plugins) is undecided here, unless nobody at all has endorsed it.
 */
export function judgeNamespace({ namespace, set, collections }: NamespaceSet, context: EndorsementContext): Judgement {
  const { mspIds, endorsers, state, whyUnknown } = context;
  const rule = ruleOf(namespace, state);
  if (rule === undefined) return { code: validationCodes.INVALID_CHAINCODE };
  if (endorsers.length === 0) return refused;
  if (rule.plugin !== builtinPlugins.validation)
    return { undecided: `${namespace} is validated by the plugin ${JSON.stringify(rule.plugin.slice(0, 64))}` };
  const judgements: Judgement[] = [];
  const judge = (part: string, policy: Uint8Array) => {
    const why = whyUnknown(part);
    judgements.push(why === undefined ? judgePolicy(policy, mspIds, endorsers) : { undecided: why });
  };
  const isPublic = set.writes.length + set.metadataWrites.length > 0;
  const written = collections.filter(
    ({ set: hashed }) => hashed.hashedWrites.length + hashed.metadataWrites.length > 0,
  );
  if (isPublic) judge(partOf(namespace), rule.policy);
  else if (written.length === 0) judgements.push(judgePolicy(rule.policy, mspIds, endorsers));
  const described = written.some(({ name }) => !isFollowed(name)) ? collectionsOf(namespace, state) : noCollections;
  if (described === undefined) judgements.push({ undecided: `the collections of ${namespace} cannot be read` });
  for (const { name } of written) {
    const organisation = implicitOrganisation(name);
    const isThere = organisation === undefined ? (described?.has(name) ?? true) : mspIds.includes(organisation);
    if (!isThere) judgements.push(refused);
    else if (organisation !== undefined) judge(partOf(namespace, name), policyOf(1, [organisation]));
    else judge(partOf(namespace, name), described?.get(name) ?? rule.policy);
  }
  return all(judgements);
}

/** Valid where each is; what is refused by one is refused, whatever is undecided of another. */
export function all(judgements: readonly Judgement[]): Judgement {
  const isRefusal = (one: Judgement) => "code" in one && one.code !== validationCodes.VALID;
  return judgements.find(isRefusal) ?? judgements.find((one) => "undecided" in one) ?? valid;
}

function judgePolicy(policy: Uint8Array, mspIds: readonly string[], endorsers: readonly JudgedIdentity[]): Judgement {
  let read: EndorsementPolicy;
  try {
    read = new EndorsementPolicy(policy, mspIds);
  } catch (error) {
    return { undecided: error instanceof Error ? error.message : "an endorsement policy cannot be read" };
  }
  const [first, ...others] = findings(read, endorsers);
  if (first === undefined || others.some((one) => one !== first))
    return { undecided: `an endorser's certificate: ${endorsers.find(({ doubt }) => doubt !== undefined)?.doubt}` };
  return first ? valid : refused;
}

const maxDoubts = 4;

/**
 * Whether a policy is satisfied, whichever of those in doubt count. Each choice is tried: more signatures do not always satisfy more, to Fabric's peers.
 * Of too many nothing is found, unless not even any number of each suffices.
 */
function findings(policy: EndorsementPolicy, endorsers: readonly JudgedIdentity[]): readonly boolean[] {
  const doubted = endorsers.filter(({ doubt }) => doubt !== undefined);
  if (doubted.length > maxDoubts) return policy.canBeSatisfiedBy(endorsers) ? [] : [false];
  return Array.from({ length: 2 ** doubted.length }, (_, choice) =>
    policy.isSatisfiedBy(
      endorsers.filter((one) => one.doubt === undefined || (choice >> doubted.indexOf(one)) % 2 === 1),
    ),
  );
}

function ruleOf(
  namespace: string,
  state: CommittedState,
): { readonly plugin: string; readonly policy: Uint8Array } | undefined {
  if (namespace === lifecycleName)
    return { plugin: builtinPlugins.validation, policy: policyReference(channelPolicies.lifecycleEndorsement) };
  try {
    const rule = readValidation(namespace, (key) => state.get(lifecycleName, key)?.value);
    return rule === undefined || rule.plugin === "" || rule.policy.length === 0 ? undefined : rule;
  } catch {
    return undefined;
  }
}

const noCollections: ReadonlyMap<string, Uint8Array | undefined> = new Map();

/** Undefined where they cannot be read. */
function collectionsOf(
  namespace: string,
  state: CommittedState,
): ReadonlyMap<string, Uint8Array | undefined> | undefined {
  try {
    return readCollections(namespace, (key) => state.get(lifecycleName, key)?.value);
  } catch {
    return undefined;
  }
}
