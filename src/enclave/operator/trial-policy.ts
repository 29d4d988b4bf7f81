import { create } from "@bufbuild/protobuf";
import { readChannelConfig } from "../ledger/channel-config.ts";
import {
  type Policy,
  PolicySchema,
  type TrustedLedgerParameters,
  TrustedLedgerParametersSchema,
} from "../messages/generated/fpc/policy_pb.ts";
import type { TrialOrganisation } from "./trial-organisation.ts";

const evidenceAgeSeconds = 365n * 86_400n;
const exportLifetimeSeconds = 7n * 86_400n;

export interface NewTrialPolicy {
  readonly channelId: string;
  readonly chaincodeId: string;
  readonly organisations: readonly TrialOrganisation[];
  /** Of the enclaves. */
  readonly version: string;
  /** PEM of the root of the simulated platforms. */
  readonly attestationRoot: string;
  /** Without the hash of this policy. */
  readonly trustedLedger: TrustedLedgerParameters;
}

/** Policy number 1 of a trial network: a majority of the organisations governs and recovers. */
export function firstTrialPolicy(parts: NewTrialPolicy): Policy {
  const { channelId, chaincodeId, organisations, version, attestationRoot, trustedLedger } = parts;
  const majority = majorityOf(organisations);
  return create(PolicySchema, {
    channelId,
    chaincodeId,
    number: 1n,
    organisations: organisations.map((one) => ({ mspId: one.mspId, ...one.publicKeys() })),
    threshold: majority,
    allowedVersions: [version],
    allowedAttestationTypes: ["simulated"],
    evidenceAgeSeconds,
    recoveryThreshold: organisations.length < 2 ? 0 : majority,
    exportLifetimeSeconds,
    attestationRoots: [{ attestationType: "simulated", root: Buffer.from(attestationRoot) }],
    trustedLedger,
  });
}

/** How many of them more than half are. */
export function majorityOf(organisations: readonly unknown[]): number {
  return Math.floor(organisations.length / 2) + 1;
}

/** What enclaves of a trial network believe: signed quorum reads of a majority of the organisations' peers. */
export function trialTrustedLedger(
  genesisBlock: Uint8Array,
  erccName: string,
  firstPolicyHash: Uint8Array = new Uint8Array(),
): TrustedLedgerParameters {
  const { organisations } = readChannelConfig(genesisBlock);
  return create(TrustedLedgerParametersSchema, {
    erccName,
    firstPolicyHash,
    organisations: organisations.map(({ mspId, roots }) => ({
      mspId,
      rootCertificates: roots.map((root) => Buffer.from(root)),
    })),
    quorum: majorityOf(organisations),
  });
}
