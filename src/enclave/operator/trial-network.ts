import { join, resolve } from "node:path";
import { create } from "@bufbuild/protobuf";
import { endorsingChaincode } from "../ecc/embedded-chaincode.ts";
import { registryChaincode } from "../ercc/embedded-chaincode.ts";
import { EnclaveError } from "../errors.ts";
import { AttestationJudge } from "../evidence/judge.ts";
import { EmbeddedLedger } from "../ledger/embedded/embedded-ledger.ts";
import { policyOf } from "../ledger/signature-policy.ts";
import { CCParametersSchema, HostParametersSchema } from "../messages/generated/fpc/fpc_pb.ts";
import { TrustedLedgerParametersSchema } from "../messages/generated/fpc/policy_pb.ts";
import type { SealedHeader } from "../messages/generated/fpc/sealed_pb.ts";
import { encode, maxMessageBytes } from "../messages/strict.ts";
import type { Answerer } from "../process/call-channel.ts";
import { readSealedBlob } from "../process/sealed-state.ts";
import { policyHash } from "../protocol/policy.ts";
import { readIfThere } from "../stub/bounded-file.ts";
import { EnclaveProcess } from "../stub/enclave-process.ts";
import { type EnclaveCreation, Stub } from "../stub/stub.ts";
import { createAttestationRoot } from "../tee/attestation-root.ts";
import type { KeyManagerSettings } from "../tee/key-manager/settings.ts";
import { measureCode, ownCode } from "../tee/measure-code.ts";
import { writeNewFile } from "../tee/new-file.ts";
import { hostExchange } from "./host-exchange.ts";
import type { Installation } from "./installation.ts";
import { bringIntoForce } from "./policies.ts";
import { RegistryClient } from "./registry-client.ts";
import { makeEmptyFolder } from "./trial-folder.ts";
import { TrialOrganisation } from "./trial-organisation.ts";
import { firstTrialPolicy, majorityOf, trialTrustedLedger } from "./trial-policy.ts";
import { maxTrialOrganisations, readTrialSettings, type TrialSettings, trialSettingsFile } from "./trial-settings.ts";

const registryName = "ercc";
const channelId = "trial";

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
  /** Of the enclaves that this installation runs: 64 upper-case hex digits. The network may have been made by another one. */
  readonly measurement: string;

  private constructor(folder: string, settings: TrialSettings, ledger: EmbeddedLedger, measurement: string) {
    this.folder = folder;
    this.ledger = ledger;
    this.measurement = measurement;
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
    if (!Number.isInteger(count) || count < 1 || count > maxTrialOrganisations)
      throw new EnclaveError(
        "SETTINGS_INVALID",
        `a network has from 1 to ${maxTrialOrganisations} organisations, not ${count}`,
      );
    if (chaincodeId === registryName || !/^(?=.{1,128}$)[A-Za-z0-9]+([-_][A-Za-z0-9]+)*$/.test(chaincodeId))
      throw new EnclaveError("SETTINGS_INVALID", `${chaincodeId} cannot be the private chaincode's name`, {
        hint: `letters and digits, with - or _ between them; ${registryName} is the registry's`,
      });
    makeEmptyFolder(folder);
    const mspIds = Array.from({ length: count }, (_, index) => `Org${index + 1}MSP`);
    const ledger = await EmbeddedLedger.create({
      folder: join(folder, "ledger"),
      channelId,
      organisations: mspIds.map((mspId) => ({ mspId, peers: 1 })),
    });
    const settings: TrialSettings = { format: 1, organisations: mspIds, chaincode: chaincodeId };
    const network = new TrialNetwork(folder, settings, ledger, await measureCode(ownCode()));
    try {
      await network.#make();
      if (input.keyManager !== undefined)
        for (const organisation of network.organisations) organisation.setKeyManager(input.keyManager);
      // Last: a folder without it is no network.
      await writeNewFile(join(folder, trialSettingsFile), Buffer.from(`${JSON.stringify(settings, null, 2)}\n`), 0o644);
      return network;
    } catch (error) {
      await ledger[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** @throws EnclaveError SETTINGS_INVALID: none there; LEDGER_UNAVAILABLE: another process works on it */
  static async open(path: string): Promise<TrialNetwork> {
    const folder = resolve(path);
    const settings = readTrialSettings(folder);
    const [first = ""] = settings.organisations;
    const { platform } = new TrialOrganisation(first, join(folder, "organisations", first));
    const measurement = await measureCode(ownCode(), platform);
    const ledger = await EmbeddedLedger.open(join(folder, "ledger"), { lockWaitMs: 10_000 });
    return new TrialNetwork(folder, settings, ledger, measurement);
  }

  /** Undefined where the chaincode is defined for the enclaves of this installation; else what is the matter, and what to do. */
  get mismatch(): EnclaveError | undefined {
    const version = this.ledger.definition(this.chaincodeId)?.version;
    if (version === undefined || version === this.measurement) return undefined;
    return new EnclaveError(
      "POLICY_DENIED",
      `${this.chaincodeId} is defined for enclaves of version ${version}, and this installation's are ${this.measurement}`,
      {
        hint: `use the installation of that version, or move the network to this one: strongroom fpc chaincode upgrade ${this.chaincodeId} --old-installation DIR`,
      },
    );
  }

  /** @param number - From 1. @throws EnclaveError NOT_FOUND */
  organisation(number: number): TrialOrganisation {
    const found = this.organisations[number - 1];
    if (found === undefined)
      throw new EnclaveError(
        "NOT_FOUND",
        `the network has organisations 1 to ${this.organisations.length}, not ${number}`,
        { hint: "--org names one of these by its number" },
      );
    return found;
  }

  /** @throws EnclaveError NOT_FOUND */
  organisationOf(mspId: string): TrialOrganisation {
    const found = this.organisations.find((one) => one.mspId === mspId);
    if (found === undefined) throw new EnclaveError("NOT_FOUND", `the network has no organisation ${mspId}`);
    return found;
  }

  /** ERCC as an organisation's admin sees it. */
  async client(organisation: TrialOrganisation): Promise<RegistryClient> {
    const connection = await this.ledger.connect(this.ledger.identity(organisation.mspId, "admin"));
    return new RegistryClient(connection, registryName, this.chaincodeId);
  }

  /**
   * The agent of an enclave of an organisation; the enclave need not be there yet.
   *
   * @param installation - Whose enclave it is. Left out: this one's
   * @throws EnclaveError CONFLICT: it is in use; UNSEAL_FAILED: it is of another version than the installation's enclaves
   */
  async stub(
    client: RegistryClient,
    organisation: TrialOrganisation,
    name: string,
    installation?: Installation,
  ): Promise<Stub> {
    const sealed = this.sealedHeader(organisation, name)?.measurement;
    const { measurement } = installation ?? this;
    if (sealed !== undefined && sealed !== measurement)
      throw new EnclaveError(
        "UNSEAL_FAILED",
        `enclave ${name} of ${organisation.mspId} is of version ${sealed}; the installation's enclaves are ${measurement} and cannot open what it sealed`,
        {
          hint: `use the installation of that version, or hand its keys on to an enclave of this one: strongroom fpc chaincode upgrade ${this.chaincodeId} --old-installation DIR`,
        },
      );
    const keyManager = organisation.keyManagers(this.chaincodeId).of(name);
    return await Stub.open({
      folder: organisation.enclaveFolder(this.chaincodeId, name),
      tee: { kind: "process", platform: organisation.platform, ...(keyManager && { keyManager }) },
      exchange: hostExchange(client, this.ledger.identity(organisation.mspId, "admin")),
      ...(installation === undefined
        ? {}
        : { start: (answer: Answerer) => new EnclaveProcess({ answer, ...installation }) }),
    });
  }

  /** What an enclave's sealed blob says of itself, by its host's word; undefined where none was created. */
  sealedHeader(organisation: TrialOrganisation, name: string): SealedHeader | undefined {
    const blob = readIfThere(join(organisation.enclaveFolder(this.chaincodeId, name), "blob"), maxMessageBytes);
    if (blob === undefined) return undefined;
    try {
      return readSealedBlob(blob).header;
    } catch (error) {
      if (!(error instanceof EnclaveError)) throw error;
      throw new EnclaveError(error.code, `enclave ${name} of ${organisation.mspId}: ${error.message}`, {
        cause: error,
      });
    }
  }

  /** Names of an organisation's enclaves that this installation can run. */
  runnable(organisation: TrialOrganisation): readonly string[] {
    return organisation
      .enclaves(this.chaincodeId)
      .filter((name) => this.sealedHeader(organisation, name)?.measurement === this.measurement);
  }

  /**
   * What an enclave of this network is to be: for the chaincode's definition, or while it is upgraded for the one that the policy
   * names as its successor.
   *
   * @throws EnclaveError POLICY_DENIED: neither is for enclaves of this installation
   */
  async creation(client: RegistryClient, organisation: TrialOrganisation): Promise<EnclaveCreation> {
    const { measurement: version, mismatch } = this;
    const policy = await client.policy();
    const first = policy.number === 1n ? policy : await client.policy(1n);
    const defined = this.ledger.definition(this.chaincodeId)?.sequence ?? 1n;
    const { successor } = policy;
    const isUpgraded = successor?.version === version && successor.sequence > defined;
    if (mismatch !== undefined && !isUpgraded) throw mismatch;
    const sequence = isUpgraded ? successor.sequence : defined;
    const ccParams = create(CCParametersSchema, { chaincodeId: this.chaincodeId, version, sequence, channelId });
    const index = this.organisations.indexOf(organisation);
    const hostParams = create(HostParametersSchema, {
      peerMspId: organisation.mspId,
      peerEndpoint: `peer0.org${index + 1}.trial:7051`,
    });
    return {
      ccParams: encode(CCParametersSchema, ccParams),
      hostParams: encode(HostParametersSchema, hostParams),
      channelHash: this.ledger.channelHash,
      trustedLedger: encode(
        TrustedLedgerParametersSchema,
        trialTrustedLedger(this.ledger.genesisBlock, registryName, policyHash(first)),
      ),
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
    const majority = policyOf(majorityOf(mspIds), mspIds);
    const version = this.measurement;
    await this.ledger.define(registryName, { version: "1.0", sequence: 1n, policy: majority });
    await this.ledger.define(this.chaincodeId, { version, sequence: 1n, policy: majority });
    const policy = firstTrialPolicy({
      channelId,
      chaincodeId: this.chaincodeId,
      organisations: this.organisations,
      version,
      attestationRoot: root.pem,
      trustedLedger: trialTrustedLedger(this.ledger.genesisBlock, registryName),
    });
    const signers = new Map(this.organisations.map((one) => [one.mspId, one.keys().policyKey]));
    await bringIntoForce(await this.client(this.organisation(1)), policy, signers);
  }
}
