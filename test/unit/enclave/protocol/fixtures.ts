import { createPrivateKey, type KeyObject } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { packAny } from "../../../../src/enclave/messages/any.ts";
import {
  type AttestedData,
  AttestedDataSchema,
  type Credentials,
  CredentialsSchema,
} from "../../../../src/enclave/messages/generated/fpc/fpc_pb.ts";
import {
  type Policy,
  PolicySchema,
  PolicySignatureSchema,
  type SignedPolicy,
  SignedPolicySchema,
} from "../../../../src/enclave/messages/generated/fpc/policy_pb.ts";
import { encode } from "../../../../src/enclave/messages/strict.ts";
import { type ReadCredentials, readCredentials } from "../../../../src/enclave/protocol/attested-data.ts";
import { ChaincodeGeneration } from "../../../../src/enclave/protocol/chaincode-keys.ts";
import { policyHash, signPolicy } from "../../../../src/enclave/protocol/policy.ts";
import keys from "../../../vectors/fpc/keys.json" with { type: "json" };
import upstream from "../../../vectors/fpc/upstream.json" with { type: "json" };

/** Keys that were made once: to make RSA-3072 takes half a second each. */
export function signingKey(name: keyof typeof keys.signing): { readonly pem: Buffer; readonly key: KeyObject } {
  const pair = keys.signing[name];
  return { pem: Buffer.from(pair.public), key: createPrivateKey(pair.private) };
}

export function encryptionKey(name: keyof typeof keys.encryption): { readonly pem: Buffer; readonly key: KeyObject } {
  const pair = keys.encryption[name];
  return { pem: Buffer.from(pair.public), key: createPrivateKey(pair.private) };
}

/** Generation 1 has upstream's keys, so that its vectors are of it. */
export function generation(number: 1 | 2 | 3): ChaincodeGeneration {
  const dk = {
    1: upstream.chaincode_dk_pem,
    2: keys.encryption.chaincode2.private,
    3: keys.encryption.chaincode3.private,
  }[number];
  return new ChaincodeGeneration(
    BigInt(number),
    SecretBuffer.take(Buffer.alloc(16, 0x50 + number)),
    SecretBuffer.take(Buffer.from(dk)),
  );
}

export const version = "A1".repeat(32);
export const successorVersion = "B2".repeat(32);

export function attestedData(enclave: "enclave1" | "enclave2", changes: Partial<AttestedData> = {}): AttestedData {
  const attested = create(AttestedDataSchema, {
    ccParams: { chaincodeId: "auction", version, sequence: 1n, channelId: "ch1" },
    hostParams: { peerMspId: enclave === "enclave1" ? "Org1MSP" : "Org2MSP", peerEndpoint: "127.0.0.1:7051" },
    enclaveVk: signingKey(enclave).pem,
    enclaveEk: encryptionKey(enclave).pem,
    channelHash: Buffer.alloc(32, 7),
    trustedLedgerHash: Buffer.alloc(32, 8),
    onCreation: true,
  });
  return Object.assign(attested, changes);
}

export function credentialsOf(attested: AttestedData): Credentials {
  return create(CredentialsSchema, {
    serializedAttestedData: packAny(AttestedDataSchema, attested),
    attestation: Buffer.from('{"attestation_type":"simulated","attestation":"MA=="}'),
    evidence: Buffer.from('{"attestation_type":"simulated","evidence":"MA=="}'),
  });
}

export function enclave(name: "enclave1" | "enclave2", changes: Partial<AttestedData> = {}): ReadCredentials {
  return readCredentials(credentialsOf(attestedData(name, changes)));
}

export const organisationNames = ["org1", "org2", "org3"] as const;
export const mspIds = { org1: "Org1MSP", org2: "Org2MSP", org3: "Org3MSP" } as const;

export function policy(changes: Partial<Policy> = {}): Policy {
  const made = create(PolicySchema, {
    channelId: "ch1",
    chaincodeId: "auction",
    number: 1n,
    organisations: organisationNames.map((name) => ({
      mspId: mspIds[name],
      policyKey: signingKey(name).pem,
      recoveryKey: encryptionKey(name).pem,
    })),
    threshold: 2,
    allowedVersions: [version],
    allowedAttestationTypes: ["simulated"],
    allowedTcbStatuses: ["UpToDate"],
    evidenceAgeSeconds: 3600n,
    exportLifetimeSeconds: 600n,
    recoveryThreshold: 2,
    attestationRoots: [{ attestationType: "simulated", root: Buffer.from("a root") }],
  });
  return Object.assign(made, changes);
}

/** The policy after {@link policy}. */
export function nextPolicy(changes: Partial<Policy> = {}): Policy {
  return policy({ number: 2n, previousPolicyHash: policyHash(policy()), ...changes });
}

export function signedPolicy(
  document: Policy,
  signers: readonly (typeof organisationNames)[number][] = organisationNames,
): SignedPolicy {
  const bytes = encode(PolicySchema, document);
  return create(SignedPolicySchema, {
    policy: bytes,
    signatures: signers.map((name) =>
      create(PolicySignatureSchema, { mspId: mspIds[name], signature: signPolicy(bytes, signingKey(name).key) }),
    ),
  });
}

/** Whether an error is of this reason, and tells of what. */
export function reason(code: string, about: RegExp = /./) {
  return (error: Error & { readonly code?: string }) => {
    if (error.code !== code || !about.test(error.message))
      throw new Error(`it failed with ${error.code ?? error.name}: ${error.message}, not with ${code} ${about}`, {
        cause: error,
      });
    return true;
  };
}
