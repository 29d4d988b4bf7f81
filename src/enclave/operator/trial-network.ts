import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { create } from "@bufbuild/protobuf";
import * as z from "zod";
import { endorsingChaincode } from "../ecc/embedded-chaincode.ts";
import { registryChaincode } from "../ercc/embedded-chaincode.ts";
import { EnclaveError } from "../errors.ts";
import { AttestationJudge } from "../evidence/judge.ts";
import { readChannelConfig } from "../ledger/channel-config.ts";
import { EmbeddedLedger } from "../ledger/embedded/embedded-ledger.ts";
import { policyOf } from "../ledger/signature-policy.ts";
import { CCParametersSchema, HostParametersSchema } from "../messages/generated/fpc/fpc_pb.ts";
import {
  type Policy,
  PolicySchema,
  SignedPolicySchema,
  type TrustedLedgerParameters,
  TrustedLedgerParametersSchema,
} from "../messages/generated/fpc/policy_pb.ts";
import { encode } from "../messages/strict.ts";
import { policyHash, signPolicy } from "../protocol/policy.ts";
import { type EnclaveCreation, Stub } from "../stub/stub.ts";
import { createAttestationRoot } from "../tee/attestation-root.ts";
import type { KeyManagerSettings } from "../tee/key-manager/settings.ts";
import { measureCode, ownCode } from "../tee/measure-code.ts";
import { writeNewFile } from "../tee/new-file.ts";
import { hostExchange } from "./host-exchange.ts";
import { RegistryClient } from "./registry-client.ts";
import { TrialOrganisation } from "./trial-organisation.ts";

const registryName = "ercc";
const channelId = "trial";
const maxOrganisations = 16;
const evidenceAgeSeconds = 365n * 86_400n;
const exportLifetimeSeconds = 7n * 86_400n;

const settingsSchema = z.strictObject({
  format: z.literal(1),
  organisations: z.array(z.string()).min(1).max(maxOrganisations),
  chaincode: z.string(),
});
type Settings = z.infer<typeof settingsSchema>;

export interface NewTrialNetwork {
  /** Made; has to be empty where it is there. */
  readonly folder: string;
  /** From 1 to 16. */
  readonly organisations: number;
  /** The private chaincode's id. */
  readonly chaincodeId: string;
  /** Under which every organisation's enclaves are put, unless another is named when one is created. */
  readonly keyManager?: KeyManagerSettings | undefined;
}

/**
 * A consortium in one folder, for trials: the embedded ledger with ERCC and one private chaincode, and for each organisation an
 * admin, policy and recovery keys, and a host with a simulated platform. All keys lie in the one folder, so it protects
 * nothing; messages, checks and keys' ways are those of a real network (decision 0622).
 */
export class TrialNetwork implements AsyncDisposable {
  readonly ledger: EmbeddedLedger;
  readonly chaincodeId: string;
  readonly organisations: readonly TrialOrganisation[];
  readonly folder: string;

  private constructor(folder: string, settings: Settings, ledger: EmbeddedLedger) {
    this.folder = folder;
    this.ledger = ledger;
    this.chaincodeId = settings.chaincode;
    this.organisations = settings.organisations.map(
      (mspId) => new TrialOrganisation(mspId, join(folder, "organisations", mspId)),
    );
    ledger.install(registryName, registryChaincode(new AttestationJudge()));
    ledger.install(this.chaincodeId, endorsingChaincode(registryName));
  }

  /**
   * Makes it: ERCC and the chaincode are defined, the chaincode with the measurement of this installation's enclaves as its
   * version and a majority of the organisations as its endorsers, and the organisations have signed policy number 1.
   *
   * @throws EnclaveError SETTINGS_INVALID
   */
  static async create(input: NewTrialNetwork): Promise<TrialNetwork> {
    const { organisations: count, chaincodeId } = input;
    const folder = resolve(input.folder);
    if (!Number.isInteger(count) || count < 1 || count > maxOrganisations)
      throw new EnclaveError("SETTINGS_INVALID", `a network has from 1 to ${maxOrganisations} organisations`);
    if (existsSync(folder) && readdirSync(folder).length > 0)
      throw new EnclaveError("SETTINGS_INVALID", `${folder} is not empty, so no network is made there`);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const mspIds = Array.from({ length: count }, (_, index) => `Org${index + 1}MSP`);
    const ledger = await EmbeddedLedger.create({
      folder: join(folder, "ledger"),
      channelId,
      organisations: mspIds.map((mspId) => ({ mspId, peers: 1 })),
    });
    const settings: Settings = { format: 1, organisations: mspIds, chaincode: chaincodeId };
    const network = new TrialNetwork(folder, settings, ledger);
    try {
      await network.#make();
      if (input.keyManager !== undefined)
        for (const organisation of network.organisations) organisation.setKeyManager(input.keyManager);
      // Last: a folder without it is no network.
      await writeNewFile(join(folder, "network.json"), Buffer.from(`${JSON.stringify(settings, null, 2)}\n`), 0o644);
      return network;
    } catch (error) {
      await ledger[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** @throws EnclaveError SETTINGS_INVALID: none there; LEDGER_UNAVAILABLE: another process works on it */
  static async open(path: string): Promise<TrialNetwork> {
    const folder = resolve(path);
    const settings = readSettings(folder);
    return new TrialNetwork(
      folder,
      settings,
      await EmbeddedLedger.open(join(folder, "ledger"), { lockWaitMs: 10_000 }),
    );
  }

  /** @param number - From 1. @throws EnclaveError NOT_FOUND */
  organisation(number: number): TrialOrganisation {
    const found = this.organisations[number - 1];
    if (found === undefined)
      throw new EnclaveError(
        "NOT_FOUND",
        `the network has organisations 1 to ${this.organisations.length}, not ${number}`,
      );
    return found;
  }

  /** ERCC as an organisation's admin sees it. */
  async client(organisation: TrialOrganisation): Promise<RegistryClient> {
    const connection = await this.ledger.connect(this.ledger.identity(organisation.mspId, "admin"));
    return new RegistryClient(connection, registryName, this.chaincodeId);
  }

  /** The agent of an enclave of an organisation; the enclave need not be there yet. @throws EnclaveError CONFLICT: it is in use */
  async stub(client: RegistryClient, organisation: TrialOrganisation, name: string): Promise<Stub> {
    const keyManager = organisation.keyManagers(this.chaincodeId).of(name);
    return await Stub.open({
      folder: organisation.enclaveFolder(this.chaincodeId, name),
      tee: { kind: "process", platform: organisation.platform, ...(keyManager && { keyManager }) },
      exchange: hostExchange(client, this.ledger.identity(organisation.mspId, "admin")),
    });
  }

  /** What an enclave of this network is to be. */
  async creation(client: RegistryClient, organisation: TrialOrganisation): Promise<EnclaveCreation> {
    const version = await measureCode(ownCode());
    const policy = await client.policy();
    const first = policy.number === 1n ? policy : await client.policy(1n);
    const ccParams = create(CCParametersSchema, {
      chaincodeId: this.chaincodeId,
      version,
      sequence: this.ledger.definition(this.chaincodeId)?.sequence ?? 1n,
      channelId,
    });
    const index = this.organisations.indexOf(organisation);
    const hostParams = create(HostParametersSchema, {
      peerMspId: organisation.mspId,
      peerEndpoint: `peer0.org${index + 1}.trial:7051`,
    });
    return {
      ccParams: encode(CCParametersSchema, ccParams),
      hostParams: encode(HostParametersSchema, hostParams),
      channelHash: this.ledger.channelHash,
      trustedLedger: encode(TrustedLedgerParametersSchema, this.#trustedLedger(policyHash(first))),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.ledger[Symbol.asyncDispose]();
  }

  async #make(): Promise<void> {
    const mspIds = this.organisations.map(({ mspId }) => mspId);
    const root = await createAttestationRoot(join(this.folder, "attestation-root"), "root of simulated platforms");
    for (const { mspId } of this.organisations)
      await TrialOrganisation.create(mspId, join(this.folder, "organisations", mspId), root);
    const majority = policyOf(Math.floor(mspIds.length / 2) + 1, mspIds);
    const version = await measureCode(ownCode());
    await this.ledger.define(registryName, { version: "1.0", sequence: 1n, policy: majority });
    await this.ledger.define(this.chaincodeId, { version, sequence: 1n, policy: majority });
    const policy = encode(PolicySchema, this.#firstPolicy(version, root.pem));
    const signatures = this.organisations.map((one) => ({
      mspId: one.mspId,
      signature: signPolicy(policy, one.keys().policyKey),
    }));
    const client = await this.client(this.organisation(1));
    const signed = create(SignedPolicySchema, { policy, signatures });
    await client.submit("setPolicy", this.chaincodeId, encode(SignedPolicySchema, signed));
  }

  #firstPolicy(version: string, attestationRoot: string): Policy {
    const count = this.organisations.length;
    return create(PolicySchema, {
      channelId,
      chaincodeId: this.chaincodeId,
      number: 1n,
      organisations: this.organisations.map((one) => ({ mspId: one.mspId, ...one.publicKeys() })),
      threshold: Math.floor(count / 2) + 1,
      allowedVersions: [version],
      allowedAttestationTypes: ["simulated"],
      evidenceAgeSeconds,
      recoveryThreshold: count < 2 ? 0 : Math.floor(count / 2) + 1,
      exportLifetimeSeconds,
      attestationRoots: [{ attestationType: "simulated", root: Buffer.from(attestationRoot) }],
      trustedLedger: this.#trustedLedger(new Uint8Array()),
    });
  }

  /** Signed quorum reads: a majority of the organisations' peers. */
  #trustedLedger(firstPolicyHash: Uint8Array): TrustedLedgerParameters {
    const { organisations } = readChannelConfig(this.ledger.genesisBlock);
    return create(TrustedLedgerParametersSchema, {
      erccName: registryName,
      firstPolicyHash,
      organisations: organisations.map(({ mspId, roots }) => ({
        mspId,
        rootCertificates: roots.map((root) => Buffer.from(root)),
      })),
      quorum: Math.floor(organisations.length / 2) + 1,
    });
  }
}

function readSettings(folder: string): Settings {
  let text: string;
  try {
    text = readFileSync(join(folder, "network.json"), "utf8");
  } catch (cause) {
    throw new EnclaveError("SETTINGS_INVALID", `${folder} holds no network`, {
      cause,
      hint: "strongroom fpc network up makes one; name its folder by --folder",
    });
  }
  try {
    return settingsSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new EnclaveError("SETTINGS_INVALID", `${join(folder, "network.json")} is not the settings of a network`, {
      cause,
    });
  }
}
