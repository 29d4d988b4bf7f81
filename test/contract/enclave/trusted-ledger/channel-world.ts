import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { endorsingChaincode } from "../../../../src/enclave/ecc/embedded-chaincode.ts";
import { registryChaincode } from "../../../../src/enclave/ercc/embedded-chaincode.ts";
import { toEvidence } from "../../../../src/enclave/evidence/attestation-json.ts";
import { AttestationJudge } from "../../../../src/enclave/evidence/judge.ts";
import type { ChaincodeStub } from "../../../../src/enclave/ledger/embedded/chaincode.ts";
import { EmbeddedLedger } from "../../../../src/enclave/ledger/embedded/embedded-ledger.ts";
import type { LedgerConnection } from "../../../../src/enclave/ledger/ledger.ts";
import { policyOf } from "../../../../src/enclave/ledger/signature-policy.ts";
import { LedgerEnclaveHost } from "../../../../src/enclave/ledger-enclave/host.ts";
import { packAny } from "../../../../src/enclave/messages/any.ts";
import { encodeArgument } from "../../../../src/enclave/messages/argument.ts";
import { AttestedDataSchema, CredentialsSchema } from "../../../../src/enclave/messages/generated/fpc/fpc_pb.ts";
import {
  PolicySchema,
  SignedPolicySchema,
  type TrustedLedgerParameters,
  TrustedLedgerParametersSchema,
} from "../../../../src/enclave/messages/generated/fpc/policy_pb.ts";
import { encode } from "../../../../src/enclave/messages/strict.ts";
import { hostExchange } from "../../../../src/enclave/operator/host-exchange.ts";
import { RegistryClient } from "../../../../src/enclave/operator/registry-client.ts";
import { signPolicy } from "../../../../src/enclave/protocol/policy.ts";
import { type AttestationRoot, createAttestationRoot } from "../../../../src/enclave/tee/attestation-root.ts";
import type { TeeBackend } from "../../../../src/enclave/tee/backend.ts";
import { measureCode, ownCode } from "../../../../src/enclave/tee/measure-code.ts";
import { openProcessBackend } from "../../../../src/enclave/tee/process/backend.ts";
import { createProcessPlatform } from "../../../../src/enclave/tee/process/platform.ts";
import type { LedgerExchange } from "../../../../src/enclave/trusted-ledger/exchange.ts";
import { openTrustedLedger, type TrustedLedgerContext } from "../../../../src/enclave/trusted-ledger/open.ts";
import type { TrustedLedger } from "../../../../src/enclave/trusted-ledger/trusted-ledger.ts";
import { rsaPair, type SigningPair, signingPair } from "../../../unit/enclave/ercc/test-keys.ts";

export const chaincodeId = "auction";
export const erccName = "ercc";
export const mspIds = ["Org1MSP", "Org2MSP", "Org3MSP"];
export const trustedLedgerKinds = ["signed quorum reads", "a ledger enclave"] as const;
export type TrustedLedgerKind = (typeof trustedLedgerKinds)[number];

/**
 * A channel of the embedded ledger with ERCC, one private chaincode and its policy, whose enclaves are to believe a trusted
 * ledger of `kind`. Platform, quotes, certificates and signatures are real.
 */
export class ChannelWorld implements AsyncDisposable {
  readonly folder: string;
  readonly ledger: EmbeddedLedger;
  readonly root: AttestationRoot;
  readonly backend: TeeBackend;
  readonly connection: LedgerConnection;
  readonly parameters: TrustedLedgerParameters;
  readonly host: LedgerEnclaveHost | undefined;
  readonly exchange: LedgerExchange;
  /** Registered, of Org1MSP. */
  enclaveId = "";

  private constructor(
    parts: Pick<ChannelWorld, "folder" | "ledger" | "root" | "backend" | "connection" | "parameters" | "host">,
  ) {
    this.folder = parts.folder;
    this.ledger = parts.ledger;
    this.root = parts.root;
    this.backend = parts.backend;
    this.connection = parts.connection;
    this.parameters = parts.parameters;
    this.host = parts.host;
    const client = new RegistryClient(this.connection, erccName, chaincodeId);
    const session = this.host && ((message: Uint8Array) => this.host?.session(message) ?? Promise.reject());
    this.exchange = hostExchange(client, this.ledger.identity("Org1MSP", "admin"), session);
  }

  static async create(kind: TrustedLedgerKind): Promise<ChannelWorld> {
    const folder = mkdtempSync(join(tmpdir(), "trusted-ledger-"));
    const root = await createAttestationRoot(join(folder, "root"), "root of the test's platforms");
    const platform = join(folder, "platform");
    await createProcessPlatform(platform, root, "platform of the test");
    const backend = await openProcessBackend({ platform, code: ownCode("chaincode") });
    const ledger = await EmbeddedLedger.create({
      folder: join(folder, "ledger"),
      channelId: "private-channel",
      organisations: mspIds.map((mspId) => ({ mspId, peers: 1 })),
    });
    ledger.install(erccName, registryChaincode(new AttestationJudge()));
    ledger.install(chaincodeId, privateChaincode);
    await ledger.define(erccName, { version: "1", sequence: 1n, policy: policyOf(2, mspIds) });
    const version = await backend.measure();
    await ledger.define(chaincodeId, { version, sequence: 1n, policy: policyOf(2, mspIds) });
    const connection = await ledger.connect(ledger.identity("Org1MSP", "admin"));
    const isQuorum = kind === "signed quorum reads";
    const parameters = create(TrustedLedgerParametersSchema, {
      erccName,
      ...(isQuorum ? quorumOf(ledger) : await ledgerEnclaveOf(platform, root)),
    });
    const host = isQuorum
      ? undefined
      : await LedgerEnclaveHost.start({ connection, tee: { kind: "process", platform }, erccName });
    const world = new ChannelWorld({ folder, ledger, root, backend, connection, parameters, host });
    await world.#setPolicy(version);
    world.enclaveId = await world.register();
    return world;
  }

  /** What policy number 1 has enclaves believe. */
  believed(): TrustedLedgerParameters {
    const firstPolicyHash = createHash("sha256").update(this.#policy).digest();
    return create(TrustedLedgerParametersSchema, { ...this.parameters, firstPolicyHash });
  }

  /** Of an enclave that runs on the test's platform. */
  context(changed: Partial<TrustedLedgerContext> = {}): TrustedLedgerContext {
    return {
      channelId: this.ledger.channelId,
      channelHash: this.ledger.channelHash,
      chaincodeId,
      enclaveId: this.enclaveId,
      tee: this.backend,
      judge: new AttestationJudge(),
      ...changed,
    };
  }

  open(exchange: LedgerExchange = this.exchange, changed: Partial<TrustedLedgerContext> = {}): TrustedLedger {
    return openTrustedLedger(this.parameters, exchange, this.context(changed));
  }

  async submit(transaction: string, ...args: string[]): Promise<bigint> {
    const { blockNumber } = await this.connection.submit(erccName, transaction, args);
    return blockNumber;
  }

  /** Writes to the private chaincode's own state; no value deletes. @returns The block */
  async write(key: string, value = ""): Promise<bigint> {
    return (await this.connection.submit(chaincodeId, "write", [key, value])).blockNumber;
  }

  /** Registers another enclave of Org1MSP on the test's platform. @returns Its id */
  async register(): Promise<string> {
    const { publicPem } = signingPair();
    const attested = packAny(
      AttestedDataSchema,
      create(AttestedDataSchema, {
        ccParams: {
          chaincodeId,
          version: await this.backend.measure(),
          sequence: 1n,
          channelId: this.ledger.channelId,
        },
        hostParams: { peerMspId: "Org1MSP", peerEndpoint: "peer0.org1.example:7051" },
        enclaveVk: publicPem,
        enclaveEk: rsaPair(0).publicPem,
        channelHash: this.ledger.channelHash,
        tlccMrenclave: this.parameters.tlccMrenclave,
        trustedLedgerHash: createHash("sha256").update(encode(TrustedLedgerParametersSchema, this.believed())).digest(),
        onCreation: true,
      }),
    );
    const attestation = await this.backend.quote(attested.value);
    const credentials = create(CredentialsSchema, {
      serializedAttestedData: attested,
      attestation,
      evidence: toEvidence(attestation),
    });
    await this.submit("registerEnclave", encodeArgument(CredentialsSchema, credentials));
    return createHash("sha256").update(publicPem).digest("hex").toUpperCase();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.host?.[Symbol.asyncDispose]();
    await this.backend[Symbol.asyncDispose]();
    await this.ledger[Symbol.asyncDispose]();
    rmSync(this.folder, { recursive: true, force: true });
  }

  #policy: Uint8Array = new Uint8Array();

  async #setPolicy(version: string): Promise<void> {
    const keys = new Map<string, SigningPair>(mspIds.map((mspId) => [mspId, signingPair()]));
    const organisations = [...keys].map(([mspId, { publicPem }], index) => ({
      mspId,
      policyKey: publicPem,
      recoveryKey: rsaPair(1 + index).publicPem,
    }));
    this.#policy = encode(
      PolicySchema,
      create(PolicySchema, {
        channelId: this.ledger.channelId,
        chaincodeId,
        number: 1n,
        organisations,
        threshold: 2,
        allowedVersions: [version],
        allowedAttestationTypes: ["simulated"],
        evidenceAgeSeconds: 86_400n,
        recoveryThreshold: 2,
        exportLifetimeSeconds: 3600n,
        attestationRoots: [{ attestationType: "simulated", root: Buffer.from(this.root.pem) }],
        trustedLedger: this.parameters,
      }),
    );
    const signatures = [...keys].map(([mspId, { key }]) => ({ mspId, signature: signPolicy(this.#policy, key) }));
    const signed = create(SignedPolicySchema, { policy: this.#policy, signatures });
    await this.submit("setPolicy", chaincodeId, encodeArgument(SignedPolicySchema, signed));
  }
}

/** The part that peers run, and beside it what the part for enclaves' answers would write. */
async function privateChaincode(stub: ChaincodeStub): Promise<string> {
  if (stub.transaction !== "write") return `${await endorsingChaincode(erccName)(stub)}`;
  const [key = "", value = ""] = stub.args;
  if (value === "") await stub.deleteState(key);
  else await stub.putState(key, Buffer.from(value));
  return "";
}

function quorumOf({ organisations }: EmbeddedLedger) {
  return {
    quorum: 2,
    organisations: organisations.map(({ mspId, roots }) => ({
      mspId,
      rootCertificates: roots.map((pem) => Buffer.from(pem)),
    })),
  };
}

async function ledgerEnclaveOf(platform: string, root: AttestationRoot) {
  return {
    tlccMrenclave: await measureCode(ownCode("ledger"), platform),
    tlccAttestationRoot: Buffer.from(root.pem),
    tlccAttestationType: "simulated",
  };
}
