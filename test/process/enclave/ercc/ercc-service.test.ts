import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { create } from "@bufbuild/protobuf";
import { transactionNames } from "../../../../src/enclave/ercc/registry.ts";
import type { EnclaveErrorCode } from "../../../../src/enclave/errors.ts";
import { toEvidence } from "../../../../src/enclave/evidence/attestation-json.ts";
import type { FabricLedger } from "../../../../src/enclave/ledger/fabric/fabric-ledger.ts";
import type { LedgerConnection } from "../../../../src/enclave/ledger/ledger.ts";
import { encodeArgument } from "../../../../src/enclave/messages/argument.ts";
import { CredentialsSchema } from "../../../../src/enclave/messages/generated/fpc/fpc_pb.ts";
import { SignedExportMessageSchema } from "../../../../src/enclave/messages/generated/fpc/key_dist_pb.ts";
import { policyHash } from "../../../../src/enclave/protocol/policy.ts";
import { createAttestationRoot } from "../../../../src/enclave/tee/attestation-root.ts";
import type { TeeBackend } from "../../../../src/enclave/tee/backend.ts";
import { openProcessBackend } from "../../../../src/enclave/tee/process/backend.ts";
import { createProcessPlatform } from "../../../../src/enclave/tee/process/platform.ts";
import { erccService, FabricNetwork } from "../../../fabric/fabric-network.ts";
import { relayTo } from "../../../fabric/relay.ts";
import {
  Consortium,
  chaincodeId,
  type EnclaveSettings,
  generations,
  organisationNames,
  type TestEnclave,
} from "../../../unit/enclave/ercc/consortium.ts";

const ercc = "ercc";
let folder: string;
let network: FabricNetwork;
let ledger: FabricLedger;
let backend: TeeBackend;
let version: string;
let attestationRoot: string;
const admins = new Map<string, LedgerConnection>();
/** Keys and messages of three organisations; its own ledger, which is of memory, is not used. */
const consortium = new Consortium();
let first: TestEnclave;
let second: TestEnclave;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "ercc-service-"));
  const platform = join(folder, "platform");
  await mkdir(platform);
  const root = await createAttestationRoot(folder, "a test's root");
  attestationRoot = root.pem;
  await createProcessPlatform(platform, root, "a test's host");
  backend = await openProcessBackend({ platform });
  version = await backend.measure();
  network = await FabricNetwork.start({
    mspIds: organisationNames,
    chaincode: ercc,
    folder: erccService,
    endorsers: 2,
  });
  ledger = network.ledger();
  for (const mspId of organisationNames)
    admins.set(mspId, await ledger.connect(await network.channel.organisation(mspId).issue("admin")));
  network.channel.define(chaincodeId, version, 1, 1);
});
after(async () => {
  await ledger?.[Symbol.asyncDispose]();
  await network?.[Symbol.asyncDispose]();
  await backend?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

function admin(mspId: string): LedgerConnection {
  const connection = admins.get(mspId);
  assert.ok(connection);
  return connection;
}

const submit = async (mspId: string, transaction: string, ...args: string[]) =>
  (await admin(mspId).submit(ercc, transaction, args)).result.toString();
const ask = async (transaction: string, ...args: string[]) =>
  (await admin("Org3MSP").evaluate(ercc, transaction, args)).toString();
const refusal = (code: EnclaveErrorCode, message?: RegExp) => (error: Error & { code?: string }) => {
  assert.equal(error.code, code, error.message);
  if (message !== undefined) assert.match(error.message, message);
  return true;
};

/** Of the chaincode's measurement, with a real quote of the test's own platform. */
async function enclave(mspId: string, settings: EnclaveSettings = {}): Promise<TestEnclave> {
  const made = consortium.enclave(mspId, {
    ...settings,
    ccParams: { channelId: network.channel.channelId, version },
    attested: { channelHash: network.channel.genesisHash, ...settings.attested },
  });
  const statement = made.credentials.serializedAttestedData;
  assert.ok(statement);
  const attestation = await backend.quote(statement.value);
  const credentials = create(CredentialsSchema, {
    serializedAttestedData: statement,
    attestation,
    evidence: toEvidence(attestation),
  });
  return { ...made, credentials };
}

const register = (each: TestEnclave) =>
  submit(each.mspId, "registerEnclave", encodeArgument(CredentialsSchema, each.credentials));

describe("ERCC in Fabric's chaincode runtime", () => {
  it("has every transaction of the registry, and answers none of them without its arguments", async () => {
    for (const name of transactionNames.filter((one) => one !== "queryState"))
      await assert.rejects(ask(name, ...Array(9).fill("argument")), refusal("MALFORMED"), name);
  });

  it("registers no enclave before an admin has told it the channel's hash, and the organisations their policy", async () => {
    const early = await enclave("Org1MSP");
    await assert.rejects(register(early), refusal("NOT_FOUND"));
    await submit("Org1MSP", "setChannelHash", network.channel.genesisHash.toString("hex"));
    await assert.rejects(register(early), refusal("POLICY_DENIED"));
    const policy = consortium.nextPolicy({
      channelId: network.channel.channelId,
      allowedVersions: [version],
      attestationRoots: [{ attestationType: "simulated", root: Buffer.from(attestationRoot) }],
      trustedLedger: {
        erccName: ercc,
        quorum: 2,
        organisations: network.channel.organisations.map(({ mspId, root }) => ({
          mspId,
          rootCertificates: [Buffer.from(root)],
        })),
      },
    });
    await submit("Org1MSP", "setPolicy", chaincodeId, consortium.signed(policy));
    consortium.policy = policy;
    consortium.firstPolicyHash = policyHash(policy);
  });

  it("registers enclaves whose evidence holds, of the admin's own organisation", async () => {
    first = await enclave("Org1MSP");
    second = await enclave("Org2MSP", { rsa: 1 });
    const argument = encodeArgument(CredentialsSchema, first.credentials);
    await assert.rejects(submit("Org2MSP", "registerEnclave", argument), refusal("UNAUTHORIZED"));
    assert.equal(await register(first), first.id);
    assert.equal(await register(second), second.id);
    assert.equal(await ask("canEndorse", chaincodeId, first.id), "true");
    assert.equal(await ask("canEndorse", chaincodeId, "AB".repeat(32)), "false");
  });

  it("refuses evidence of another statement, and an enclave of another channel of the same name", async () => {
    const other = await enclave("Org1MSP");
    const swapped = { ...other.credentials, evidence: first.credentials.evidence };
    await assert.rejects(
      submit("Org1MSP", "registerEnclave", encodeArgument(CredentialsSchema, swapped)),
      refusal("BAD_EVIDENCE"),
    );
    const elsewhere = await enclave("Org1MSP", { attested: { channelHash: Buffer.alloc(32, 7) } });
    await assert.rejects(register(elsewhere), refusal("WRONG_CONTEXT"));
  });

  it("lets one of two first registrations of chaincode keys win, though both were endorsed", async () => {
    assert.equal(await ask("queryChaincodeEncryptionKey", chaincodeId), "");
    const messages = [
      [first, consortium.registration(first, generations.first)],
      [second, consortium.registration(second, generations.otherFirst)],
    ] as const;
    network.channel.nextBlockTakes(2);
    const outcomes = await Promise.allSettled(
      messages.map(([{ mspId }, message]) => submit(mspId, "registerCCKeys", chaincodeId, message)),
    );
    const lost = outcomes.findIndex(({ status }) => status === "rejected");
    assert.equal(outcomes.filter(({ status }) => status === "rejected").length, 1);
    const [winner, loser] = lost === 1 ? [first, second] : [second, first];
    const [kept, message] = [lost === 1 ? generations.first : generations.otherFirst, messages[lost]?.[1] ?? ""];
    assert.throws(() => {
      const outcome = outcomes[lost];
      if (outcome?.status === "rejected") throw outcome.reason;
    }, refusal("CONFLICT"));
    assert.deepEqual(Buffer.from(await ask("queryChaincodeEncryptionKey", chaincodeId), "base64"), kept.ekPem);
    await assert.rejects(submit(loser.mspId, "registerCCKeys", chaincodeId, message), refusal("ALREADY_SET"));
    const same = consortium.registration(loser, kept);
    await assert.rejects(submit(loser.mspId, "registerCCKeys", chaincodeId, same), refusal("ALREADY_SET"));

    const exported = encodeArgument(SignedExportMessageSchema, consortium.export(winner, loser, kept));
    await assert.rejects(submit(loser.mspId, "putKeyExport", chaincodeId, exported), refusal("UNAUTHORIZED"));
    await submit(winner.mspId, "putKeyExport", chaincodeId, exported);
    assert.equal(await ask("getKeyExport", chaincodeId, loser.id), exported);
    await submit(loser.mspId, "registerCCKeys", chaincodeId, same);
    const provisioned: string[] = JSON.parse(await ask("queryListProvisionedEnclaves", chaincodeId));
    assert.deepEqual(provisioned.toSorted(), [first.id, second.id].toSorted());
  });

  it("refuses everything of a definition of another sequence than the enclaves'", async () => {
    network.channel.define(chaincodeId, version, 2, 1);
    assert.equal(await ask("canEndorse", chaincodeId, first.id), "false");
    const message = consortium.registration(first, generations.first);
    await assert.rejects(submit("Org1MSP", "registerCCKeys", chaincodeId, message), refusal("POLICY_DENIED"));
    network.channel.define(chaincodeId, version, 1, 1);
    assert.equal(await ask("canEndorse", chaincodeId, first.id), "true");
  });

  it("changes nothing for an admin who was got to call other chaincode, and answers that chaincode's questions", async () => {
    for (const { mspId } of network.channel.organisations) network.channel.install(mspId, "relay", relayTo(ercc));
    network.channel.define("relay", "1.0", 1, 2);
    const relayed = (transaction: string, ...args: string[]) =>
      admin("Org1MSP")
        .submit("relay", transaction, args)
        .then(({ result }) => result.toString());
    const height = network.channel.blocks.length;
    for (const [transaction, ...args] of [
      ["revokeEnclave", chaincodeId, first.id, "not wanted"],
      ["setChannelHash", network.channel.genesisHash.toString("hex")],
      ["putKeyExport", chaincodeId, "message"],
    ] as const)
      await assert.rejects(
        relayed(transaction, ...args),
        refusal("UNAUTHORIZED", /called chaincode "relay"/),
        transaction,
      );
    assert.equal(network.channel.blocks.length, height);
    assert.equal(await relayed("canEndorse", chaincodeId, first.id), "true");
  });

  it("goes on from the peers' state when its process is killed and started again", async () => {
    const credentials = await ask("queryEnclaveCredentials", chaincodeId, first.id);
    await using again = await network.restart(erccService);
    assert.ok(again.pid > 0);
    assert.equal(await ask("queryEnclaveCredentials", chaincodeId, first.id), credentials);
    await submit("Org1MSP", "revokeEnclave", chaincodeId, first.id, "lost");
    assert.equal(await ask("canEndorse", chaincodeId, first.id), "false");
  });
});
