import { create } from "@bufbuild/protobuf";
import * as z from "zod";
import { EnclaveError } from "../errors.ts";
import { type Policy, PolicySchema } from "../messages/generated/fpc/policy_pb.ts";
import { encode } from "../messages/strict.ts";
import { readPolicy } from "../protocol/policy.ts";

const whole = z.int().min(0);
const pem = z.string().regex(/^-----BEGIN [A-Z ]+-----\n[\s\S]*\n$/, "is not PEM that ends in a line's end");
/** Certificates are taken as the channel's configuration has them, where some tools leave out the last line's end. */
const certificate = z
  .string()
  .regex(/^-----BEGIN CERTIFICATE-----\n[\s\S]*\n-----END CERTIFICATE-----\n?$/, "is not a certificate in PEM");
const empty = Buffer.alloc(0);

/** A policy document as people write and read it, before it is bytes: names of our own, PEM texts, decimal numbers. */
const form = z.strictObject({
  channel: z.string(),
  chaincode: z.string(),
  number: whole,
  /** SHA-256 of the policy before, hexadecimal; left out in number 1. */
  previousPolicyHash: z
    .string()
    .regex(/^[0-9a-f]{64}$/, "is not 64 lower-case hex digits")
    .optional(),
  organisations: z.array(z.strictObject({ mspId: z.string(), policyKey: pem, recoveryKey: pem.optional() })),
  threshold: whole,
  recoveryThreshold: whole.default(0),
  allowedVersions: z.array(z.string()),
  allowedAttestationTypes: z.array(z.string()),
  allowedTcbStatuses: z.array(z.string()).default([]),
  evidenceAgeSeconds: whole,
  exportLifetimeSeconds: whole,
  exportRules: z.array(z.strictObject({ from: z.string(), to: z.string() })).default([]),
  successor: z.strictObject({ version: z.string(), sequence: whole }).optional(),
  attestationRoots: z.array(z.strictObject({ type: z.string(), root: certificate })).default([]),
  trustedLedger: z.union([
    z.strictObject({
      registry: z.string(),
      quorum: whole,
      organisations: z.array(z.strictObject({ mspId: z.string(), roots: z.array(certificate).min(1) })).min(1),
    }),
    z.strictObject({
      registry: z.string(),
      ledgerEnclave: z.strictObject({
        measurement: z.string(),
        attestationType: z.string(),
        root: certificate.optional(),
      }),
    }),
  ]),
});

type Document = z.output<typeof form>;

/**
 * @param text - JSON.
 * @throws EnclaveError MALFORMED: a field is missing, unknown or cannot be
 */
export function readPolicyDocument(text: string): Policy {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new EnclaveError("MALFORMED", "the policy document is not JSON", { cause });
  }
  const result = form.safeParse(value);
  if (!result.success) {
    const [issue] = result.error.issues;
    throw new EnclaveError("MALFORMED", `the policy document: ${issue?.path.join(".") ?? ""}: ${issue?.message}`);
  }
  return readPolicy(encode(PolicySchema, toPolicy(result.data)));
}

/** The same text for the same policy; reading it gives the policy again. */
export function writePolicyDocument(policy: Policy): string {
  return `${JSON.stringify(documentOf(policy), null, 2)}\n`;
}

function toPolicy(document: Document): Policy {
  const { channel: channelId, chaincode: chaincodeId, previousPolicyHash = "", successor, trustedLedger } = document;
  const { number, threshold, recoveryThreshold, evidenceAgeSeconds, exportLifetimeSeconds } = document;
  return create(PolicySchema, {
    channelId,
    chaincodeId,
    number: BigInt(number),
    previousPolicyHash: Buffer.from(previousPolicyHash, "hex"),
    organisations: document.organisations.map(({ mspId, policyKey, recoveryKey = "" }) => ({
      mspId,
      policyKey: Buffer.from(policyKey),
      recoveryKey: Buffer.from(recoveryKey),
    })),
    threshold,
    recoveryThreshold,
    allowedVersions: document.allowedVersions,
    allowedAttestationTypes: document.allowedAttestationTypes,
    allowedTcbStatuses: document.allowedTcbStatuses,
    evidenceAgeSeconds: BigInt(evidenceAgeSeconds),
    exportLifetimeSeconds: BigInt(exportLifetimeSeconds),
    exportRules: document.exportRules.map(({ from, to }) => ({ fromMsp: from, toMsp: to })),
    ...(successor && { successor: { version: successor.version, sequence: BigInt(successor.sequence) } }),
    attestationRoots: document.attestationRoots.map(({ type, root }) => ({
      attestationType: type,
      root: Buffer.from(root),
    })),
    trustedLedger:
      "ledgerEnclave" in trustedLedger
        ? {
            erccName: trustedLedger.registry,
            tlccMrenclave: trustedLedger.ledgerEnclave.measurement,
            tlccAttestationType: trustedLedger.ledgerEnclave.attestationType,
            tlccAttestationRoot: Buffer.from(trustedLedger.ledgerEnclave.root ?? ""),
          }
        : {
            erccName: trustedLedger.registry,
            quorum: trustedLedger.quorum,
            organisations: trustedLedger.organisations.map(({ mspId, roots }) => ({
              mspId,
              rootCertificates: roots.map((root) => Buffer.from(root)),
            })),
          },
  });
}

function documentOf(policy: Policy): z.input<typeof form> {
  const { successor, trustedLedger, previousPolicyHash } = policy;
  if (trustedLedger === undefined)
    throw new EnclaveError("MALFORMED", "the policy says nothing of the ledger that enclaves are to believe");
  return {
    channel: policy.channelId,
    chaincode: policy.chaincodeId,
    number: Number(policy.number),
    ...(previousPolicyHash.length > 0 && { previousPolicyHash: Buffer.from(previousPolicyHash).toString("hex") }),
    organisations: policy.organisations.map(({ mspId, policyKey, recoveryKey }) => ({
      mspId,
      policyKey: toText(policyKey),
      ...(recoveryKey.length > 0 && { recoveryKey: toText(recoveryKey) }),
    })),
    threshold: policy.threshold,
    recoveryThreshold: policy.recoveryThreshold,
    allowedVersions: policy.allowedVersions,
    allowedAttestationTypes: policy.allowedAttestationTypes,
    allowedTcbStatuses: policy.allowedTcbStatuses,
    evidenceAgeSeconds: Number(policy.evidenceAgeSeconds),
    exportLifetimeSeconds: Number(policy.exportLifetimeSeconds),
    exportRules: policy.exportRules.map(({ fromMsp, toMsp }) => ({ from: fromMsp, to: toMsp })),
    ...(successor && { successor: { version: successor.version, sequence: Number(successor.sequence) } }),
    attestationRoots: policy.attestationRoots.map(({ attestationType, root }) => ({
      type: attestationType,
      root: toText(root),
    })),
    trustedLedger:
      trustedLedger.tlccMrenclave === ""
        ? {
            registry: trustedLedger.erccName,
            quorum: trustedLedger.quorum,
            organisations: trustedLedger.organisations.map(({ mspId, rootCertificates }) => ({
              mspId,
              roots: rootCertificates.map(toText),
            })),
          }
        : {
            registry: trustedLedger.erccName,
            ledgerEnclave: {
              measurement: trustedLedger.tlccMrenclave,
              attestationType: trustedLedger.tlccAttestationType,
              ...(trustedLedger.tlccAttestationRoot.length > 0 && { root: toText(trustedLedger.tlccAttestationRoot) }),
            },
          },
  };
}

function toText(bytes: Uint8Array = empty): string {
  return Buffer.from(bytes).toString("latin1");
}
