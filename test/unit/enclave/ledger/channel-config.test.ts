import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { dataHash, readBlock } from "../../../../src/enclave/ledger/block.ts";
import { makeGenesisBlock, readChannelConfig } from "../../../../src/enclave/ledger/channel-config.ts";
import { parsePolicy } from "../../../../src/enclave/ledger/policy-text.ts";
import {
  BlockSchema,
  EnvelopeSchema,
  PayloadSchema,
  SignaturePolicyEnvelopeSchema,
} from "../../../../src/enclave/messages/generated/fabric/common_pb.ts";
import {
  type ConfigEnvelope,
  ConfigEnvelopeSchema,
  type ConfigGroup,
  ConfigGroupSchema,
  type ConfigPolicy,
  ConfigPolicySchema,
  ImplicitMetaPolicySchema,
} from "../../../../src/enclave/messages/generated/fabric/config_pb.ts";
import {
  type FabricMSPConfig,
  FabricMSPConfigSchema,
  MSPConfigSchema,
} from "../../../../src/enclave/messages/generated/fabric/msp_pb.ts";
import { ApplicationPolicySchema } from "../../../../src/enclave/messages/generated/fabric/peer_pb.ts";
import { type TrialOrganisation, trialOrganisation } from "./trial-channel.ts";

const malformed = { code: "MALFORMED" };

describe("the first block of a channel", () => {
  let one: TrialOrganisation;
  let other: TrialOrganisation;
  before(async () => {
    one = await trialOrganisation("Org1MSP");
    other = await trialOrganisation("Org2MSP");
  });
  const genesisBlock = () =>
    makeGenesisBlock({
      channelId: "trial",
      organisations: [{ mspId: "Org1MSP", roots: [one.authority.certificate] }],
      orderers: [{ mspId: "OrdererMSP", roots: [other.authority.certificate] }],
      timestampMs: 1_700_000_000_000,
    });

  /** The block with another configuration, whose hashes fit it. */
  function changed(change: (config: ConfigEnvelope) => void): Uint8Array {
    const block = fromBinary(BlockSchema, genesisBlock());
    const [bytes] = block.data?.data ?? [];
    if (bytes === undefined || block.header === undefined || block.data === undefined) assert.fail();
    const envelope = fromBinary(EnvelopeSchema, bytes);
    const payload = fromBinary(PayloadSchema, envelope.payload);
    const config = fromBinary(ConfigEnvelopeSchema, payload.data);
    change(config);
    payload.data = toBinary(ConfigEnvelopeSchema, config);
    envelope.payload = toBinary(PayloadSchema, payload);
    block.data.data = [toBinary(EnvelopeSchema, envelope)];
    block.header.dataHash = dataHash(block.data.data);
    return toBinary(BlockSchema, block);
  }

  /** The block with another configuration of its organisation. */
  const withMsp = (change: (config: FabricMSPConfig) => void) =>
    changed((config) => {
      const value = config.config?.channelGroup?.groups.Application?.groups.Org1MSP?.values.MSP;
      if (value === undefined) assert.fail();
      const msp = fromBinary(FabricMSPConfigSchema, fromBinary(MSPConfigSchema, value.value).config);
      change(msp);
      value.value = toBinary(
        MSPConfigSchema,
        create(MSPConfigSchema, { config: toBinary(FabricMSPConfigSchema, msp) }),
      );
    });

  it("names the channel, its organisations with their roots, and its hash", () => {
    const bytes = genesisBlock();
    const config = readChannelConfig(bytes);
    assert.equal(config.channelId, "trial");
    assert.deepEqual(config.channelHash, readBlock(bytes).hash);
    assert.deepEqual(config.organisations, [
      { mspId: "Org1MSP", roots: [one.authority.certificate], intermediates: [] },
    ]);
    assert.equal(config.membership.identify(one.peer.serialized)?.role, "peer");
  });

  it("keeps apart who endorses and who orders", () => {
    const config = readChannelConfig(genesisBlock());
    assert.equal(config.membership.identify(other.peer.serialized), undefined);
    assert.equal(config.ordererMembership.identify(one.peer.serialized), undefined);
  });

  it("has another hash with any other content", () => {
    const { channelHash } = readChannelConfig(genesisBlock());
    const later = changed((config) => {
      if (config.config !== undefined) config.config.sequence = 1n;
    });
    assert.notDeepEqual(readChannelConfig(later).channelHash, channelHash);
  });

  it("is refused without organisations, and with one that has no name or no root", () => {
    for (const bytes of [
      changed((config) => delete config.config),
      changed((config) => {
        const groups = config.config?.channelGroup?.groups;
        if (groups?.Application !== undefined) groups.Application.groups = {};
      }),
      withMsp((msp) => (msp.name = "")),
      withMsp((msp) => (msp.rootCerts = [])),
      withMsp((msp) => (msp.rootCerts = [Buffer.from("no certificate")])),
    ])
      assert.throws(() => readChannelConfig(bytes), malformed);
  });

  it("is refused where roles are told by something else than the units that are known", () => {
    for (const bytes of [
      withMsp((msp) => delete msp.fabricNodeOus),
      withMsp((msp) => {
        if (msp.fabricNodeOus !== undefined) msp.fabricNodeOus.enable = false;
      }),
      withMsp((msp) => {
        if (msp.fabricNodeOus?.adminOuIdentifier !== undefined)
          msp.fabricNodeOus.adminOuIdentifier.organizationalUnitIdentifier = "boss";
      }),
      withMsp((msp) => delete msp.fabricNodeOus?.peerOuIdentifier),
      withMsp((msp) => delete msp.fabricNodeOus?.ordererOuIdentifier),
    ])
      assert.throws(() => readChannelConfig(bytes), malformed);
  });

  it("is taken where units are bound to the one authority that issues, and refused where they are bound to any of several", () => {
    const pem = (of: TrialOrganisation) => Buffer.from(of.authority.certificate);
    const bound = (to: Uint8Array, change: (msp: FabricMSPConfig) => void = () => undefined) =>
      withMsp((msp) => {
        const { clientOuIdentifier, ordererOuIdentifier } = msp.fabricNodeOus ?? assert.fail();
        for (const unit of [clientOuIdentifier, ordererOuIdentifier]) (unit ?? assert.fail()).certificate = to;
        change(msp);
      });
    for (const bytes of [
      bound(pem(one)),
      bound(Buffer.from(one.authority.certificate.replaceAll("\n", "\r\n"))),
      bound(pem(other), (msp) => (msp.intermediateCerts = [pem(other)])),
    ])
      assert.equal(readChannelConfig(bytes).channelId, "trial");
    for (const bytes of [
      bound(pem(other)),
      bound(Buffer.from("no certificate")),
      bound(pem(one), (msp) => (msp.rootCerts = [pem(one), pem(other)])),
      bound(pem(one), (msp) => (msp.intermediateCerts = [pem(other)])),
      bound(pem(other), (msp) => {
        msp.intermediateCerts = [pem(other)];
        msp.rootCerts = [pem(one), pem(one)];
      }),
    ])
      assert.throws(() => readChannelConfig(bytes), malformed);
  });

  it("is refused where signatures or identities are hashed otherwise", () => {
    const withHashes = (signatureHashFamily: string, identityIdentifierHashFunction: string) =>
      withMsp((msp) =>
        Object.assign(msp.cryptoConfig ?? assert.fail(), { signatureHashFamily, identityIdentifierHashFunction }),
      );
    for (const bytes of [withHashes("", ""), withHashes("SHA2", "SHA256"), withMsp((msp) => delete msp.cryptoConfig)])
      assert.equal(readChannelConfig(bytes).channelId, "trial");
    for (const bytes of [withHashes("SHA3", "SHA256"), withHashes("SHA2", "SHA3_256"), withHashes("sha2", "")])
      assert.throws(() => readChannelConfig(bytes), malformed);
  });

  describe("with policies of its own", () => {
    const withApplication = (change: (application: ConfigGroup) => void) =>
      changed((config) => change(config.config?.channelGroup?.groups.Application ?? assert.fail()));
    const meta = (subPolicy: string, rule: number) =>
      create(ConfigPolicySchema, {
        policy: {
          type: 3,
          value: toBinary(ImplicitMetaPolicySchema, create(ImplicitMetaPolicySchema, { subPolicy, rule })),
        },
      });
    const signed = (expression: string) => {
      const { type } = fromBinary(ApplicationPolicySchema, parsePolicy(expression).policy);
      if (type.case !== "signaturePolicy") assert.fail();
      return create(ConfigPolicySchema, {
        policy: { type: 1, value: toBinary(SignaturePolicyEnvelopeSchema, type.value) },
      });
    };
    const ofOrganisation = (policy: ConfigPolicy) =>
      withApplication(({ groups }) => {
        (groups.Org1MSP ?? assert.fail()).policies.Endorsement = policy;
      });

    it("is taken where they are Fabric's usual ones", () => {
      for (const policy of ["OR('Org1MSP.peer')", "OutOf(1, 'Org1MSP.peer', 'Org1MSP.peer')", "AND('Org1MSP.peer')"])
        assert.equal(readChannelConfig(ofOrganisation(signed(policy))).channelId, "trial");
    });

    it("is refused where anything else than a majority endorses, for it would be judged as if one did", () => {
      for (const name of ["Endorsement", "LifecycleEndorsement"])
        for (const policy of [
          meta("Endorsement", 0),
          meta("Endorsement", 1),
          meta("Admins", 2),
          signed("OR('Org1MSP.peer')"),
        ])
          assert.throws(
            () => readChannelConfig(withApplication(({ policies }) => (policies[name] = policy))),
            malformed,
          );
      for (const name of ["Endorsement", "LifecycleEndorsement"])
        assert.throws(() => readChannelConfig(withApplication(({ policies }) => delete policies[name])), malformed);
    });

    it("is refused where another than one of its peers endorses for an organisation", () => {
      for (const policy of [
        "OR('Org1MSP.member')",
        "OR('Org1MSP.admin')",
        "OR('Org1MSP.peer', 'Org1MSP.client')",
        "OR('Org1MSP.peer', OutOf(3, 'Org1MSP.client', 'Org1MSP.client', 'Org1MSP.client'))",
        "AND('Org1MSP.peer', 'Org1MSP.peer')",
        "OR('Org2MSP.peer')",
      ])
        assert.throws(() => readChannelConfig(ofOrganisation(signed(policy))), malformed, policy);
      assert.throws(() => readChannelConfig(ofOrganisation(meta("Endorsement", 2))), malformed);
      const one = withApplication(({ groups }) => {
        const group = groups.Org1MSP ?? assert.fail();
        groups.Other = create(ConfigGroupSchema, { values: group.values });
        group.policies.Endorsement = signed("OR('Org1MSP.peer')");
      });
      assert.throws(() => readChannelConfig(one), malformed);
    });
  });

  it("is refused where it is another block, or holds something else than one configuration", () => {
    const second = fromBinary(BlockSchema, genesisBlock());
    if (second.header === undefined || second.data === undefined) assert.fail();
    second.header.number = 1n;
    assert.throws(() => readChannelConfig(toBinary(BlockSchema, second)), malformed);
    const empty = create(BlockSchema, { header: { dataHash: dataHash([]) }, data: { data: [] } });
    assert.throws(() => readChannelConfig(toBinary(BlockSchema, empty)), malformed);
    const noise = [Buffer.from("noise")];
    const noisy = create(BlockSchema, { header: { dataHash: dataHash(noise) }, data: { data: noise } });
    assert.throws(() => readChannelConfig(toBinary(BlockSchema, noisy)), malformed);
  });
});
