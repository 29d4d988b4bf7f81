import { X509Certificate } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { EnclaveError } from "../errors.ts";
import {
  BlockSchema,
  ChannelHeaderSchema,
  EnvelopeSchema,
  PayloadSchema,
  SignatureHeaderSchema,
} from "../messages/generated/fabric/common_pb.ts";
import {
  ConfigEnvelopeSchema,
  type ConfigGroup,
  ConfigGroupSchema,
  type ConfigPolicy,
  ConfigPolicySchema,
  ConfigValueSchema,
  ImplicitMetaPolicySchema,
} from "../messages/generated/fabric/config_pb.ts";
import {
  type FabricMSPConfig,
  FabricMSPConfigSchema,
  type FabricOUIdentifier,
  MSPConfigSchema,
} from "../messages/generated/fabric/msp_pb.ts";
import { dataHash, readBlock } from "./block.ts";
import { requireUsualPolicies } from "./channel-policies.ts";
import { readMessage } from "./fabric-message.ts";
import { Membership, type Organisation, type Role } from "./membership.ts";
import { headerTypes } from "./proposal.ts";

/** What the first block of a channel says. */
export interface ChannelConfig {
  readonly channelId: string;
  /** The hash of the first block's header, 32 bytes: the second block has it as its previous hash. */
  readonly channelHash: Buffer;
  readonly organisations: readonly Organisation[];
  readonly orderers: readonly Organisation[];
  /** Who proposes and endorses. */
  readonly membership: Membership;
  /** Whose signatures count in transactions: members of all organisations, those of orderers too, as Fabric's peers read them. */
  readonly signers: Membership;
  /** Who signs blocks. */
  readonly ordererMembership: Membership;
}

const x509Msp = 0;
const implicitMeta = 3;
const majority = 2;

/** common.Block 0: a configuration as Fabric writes it, of which what {@link readChannelConfig} reads is there. */
export function makeGenesisBlock(config: {
  readonly channelId: string;
  readonly organisations: readonly Organisation[];
  readonly orderers: readonly Organisation[];
  readonly timestampMs: number;
}): Buffer {
  const application = organisationsGroup(config.organisations);
  application.policies = {
    Endorsement: majorityPolicy("Endorsement"),
    LifecycleEndorsement: majorityPolicy("Endorsement"),
  };
  const configEnvelope = create(ConfigEnvelopeSchema, {
    config: { channelGroup: { groups: { Application: application, Orderer: organisationsGroup(config.orderers) } } },
  });
  const channelHeader = create(ChannelHeaderSchema, {
    type: headerTypes.config,
    channelId: config.channelId,
    timestamp: timestampFromMs(config.timestampMs),
  });
  const payload = create(PayloadSchema, {
    header: {
      channelHeader: toBinary(ChannelHeaderSchema, channelHeader),
      signatureHeader: toBinary(SignatureHeaderSchema, create(SignatureHeaderSchema)),
    },
    data: toBinary(ConfigEnvelopeSchema, configEnvelope),
  });
  const envelope = create(EnvelopeSchema, { payload: toBinary(PayloadSchema, payload) });
  const data = [toBinary(EnvelopeSchema, envelope)];
  const block = create(BlockSchema, {
    header: { number: 0n, dataHash: dataHash(data) },
    data: { data },
    metadata: { metadata: [0, 1, 2, 3, 4].map(() => new Uint8Array()) },
  });
  return Buffer.from(toBinary(BlockSchema, block));
}

/**
 * @param genesisBlock - common.Block 0
 * @throws EnclaveError MALFORMED: not the first block of a channel, an organisation whose members cannot be told, or policies that are not followed
 */
export function readChannelConfig(genesisBlock: Uint8Array): ChannelConfig {
  const block = readBlock(genesisBlock);
  const [envelope, ...others] = block.envelopes;
  if (block.number !== 0n || envelope === undefined || others.length > 0)
    throw malformed("is not the first one of a channel");
  const { header, data } = readMessage(PayloadSchema, readMessage(EnvelopeSchema, envelope).payload);
  const channel = readMessage(ChannelHeaderSchema, header?.channelHeader ?? new Uint8Array());
  if (channel.type !== headerTypes.config || channel.channelId === "") throw malformed("holds no configuration");
  const groups = readMessage(ConfigEnvelopeSchema, data).config?.channelGroup?.groups ?? {};
  const organisations = readOrganisations(groups.Application);
  const orderers = readOrganisations(groups.Orderer);
  if (organisations.length === 0) throw malformed("names no organisation");
  requireUsualPolicies(groups.Application, (group) => readOrganisation(group).mspId);
  try {
    return {
      channelId: channel.channelId,
      channelHash: block.hash,
      organisations,
      orderers,
      membership: new Membership(organisations),
      signers: new Membership([...orderers, ...organisations], "fabric"),
      ordererMembership: new Membership(orderers),
    };
  } catch (cause) {
    throw new EnclaveError("MALFORMED", "a first block has a certificate that cannot be read", { cause });
  }
}

function organisationsGroup(organisations: readonly Organisation[]): ConfigGroup {
  return create(ConfigGroupSchema, {
    groups: Object.fromEntries(
      organisations.map((organisation) => [
        organisation.mspId,
        create(ConfigGroupSchema, {
          values: { MSP: create(ConfigValueSchema, { value: mspConfigOf(organisation), modPolicy: "Admins" }) },
        }),
      ]),
    ),
  });
}

function mspConfigOf({ mspId, roots, intermediates = [] }: Organisation): Uint8Array {
  const unit = (organizationalUnitIdentifier: string) => ({ organizationalUnitIdentifier });
  const config = create(FabricMSPConfigSchema, {
    name: mspId,
    rootCerts: roots.map((pem) => Buffer.from(pem)),
    intermediateCerts: intermediates.map((pem) => Buffer.from(pem)),
    cryptoConfig: { signatureHashFamily: "SHA2", identityIdentifierHashFunction: "SHA256" },
    fabricNodeOus: {
      enable: true,
      clientOuIdentifier: unit("client"),
      peerOuIdentifier: unit("peer"),
      adminOuIdentifier: unit("admin"),
      ordererOuIdentifier: unit("orderer"),
    },
  });
  return toBinary(MSPConfigSchema, create(MSPConfigSchema, { config: toBinary(FabricMSPConfigSchema, config) }));
}

function majorityPolicy(subPolicy: string): ConfigPolicy {
  const value = toBinary(ImplicitMetaPolicySchema, create(ImplicitMetaPolicySchema, { subPolicy, rule: majority }));
  return create(ConfigPolicySchema, { policy: { type: implicitMeta, value }, modPolicy: "Admins" });
}

function readOrganisations(group: ConfigGroup | undefined): readonly Organisation[] {
  return Object.values(group?.groups ?? {}).map(readOrganisation);
}

function readOrganisation({ values }: ConfigGroup): Organisation {
  const msp = readMessage(MSPConfigSchema, values.MSP?.value ?? new Uint8Array());
  const config = readMessage(FabricMSPConfigSchema, msp.config);
  if (msp.type !== x509Msp || config.name === "" || config.rootCerts.length === 0)
    throw malformed("has an organisation without a name or a root");
  requireUsualRoles(config);
  const { signatureHashFamily = "", identityIdentifierHashFunction = "" } = config.cryptoConfig ?? {};
  if (!["", "SHA2"].includes(signatureHashFamily) || !["", "SHA256"].includes(identityIdentifierHashFunction))
    throw malformed(`has organisation ${config.name}, which hashes by something else than SHA-256`);
  const text = (pem: Uint8Array) => Buffer.from(pem).toString("latin1");
  return { mspId: config.name, roots: config.rootCerts.map(text), intermediates: config.intermediateCerts.map(text) };
}

/** Roles are told by these units alone: an organisation that names units otherwise would be misjudged. */
function requireUsualRoles(config: FabricMSPConfig): void {
  const units = config.fabricNodeOus;
  const named: readonly (readonly [FabricOUIdentifier | undefined, Role])[] = [
    [units?.clientOuIdentifier, "client"],
    [units?.peerOuIdentifier, "peer"],
    [units?.adminOuIdentifier, "admin"],
    [units?.ordererOuIdentifier, "orderer"],
  ];
  const isUsual = named.every(
    ([unit, role]) => unit?.organizationalUnitIdentifier === role && isOfAnyIssuer(unit.certificate, config),
  );
  if (units?.enable !== true || !isUsual)
    throw malformed(
      `has organisation ${config.name}, whose roles are not told by the units client, peer, admin and orderer alone`,
    );
}

/** A unit can be bound to one authority's certificates; that says nothing where only this one issues members'. */
function isOfAnyIssuer(pem: Uint8Array, { rootCerts, intermediateCerts }: FabricMSPConfig): boolean {
  if (pem.length === 0) return true;
  const [issuing, ...others] = intermediateCerts.length === 0 ? rootCerts : intermediateCerts;
  if (issuing === undefined || others.length > 0 || rootCerts.length > 1) return false;
  try {
    return new X509Certificate(pem).fingerprint256 === new X509Certificate(issuing).fingerprint256;
  } catch {
    return false;
  }
}

function malformed(how: string): EnclaveError {
  return new EnclaveError("MALFORMED", `a first block ${how}`);
}
