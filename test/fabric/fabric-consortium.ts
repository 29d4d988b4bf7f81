import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { FabricLedger } from "../../src/enclave/ledger/fabric/fabric-ledger.ts";
import { FabricMember } from "../../src/enclave/operator/fabric-member.ts";
import { readPolicyDocument } from "../../src/enclave/operator/policy-document.ts";
import { setPolicy, signDocument } from "../../src/enclave/operator/policy-signatures.ts";
import { TrialOrganisation } from "../../src/enclave/operator/trial-organisation.ts";
import { createAttestationRoot } from "../../src/enclave/tee/attestation-root.ts";
import { measureCode, ownCode } from "../../src/enclave/tee/measure-code.ts";
import { ChaincodeProcess } from "./chaincode-process.ts";
import { TestChannel } from "./channel.ts";
import { erccService } from "./fabric-network.ts";
import { GatewayService } from "./gateway-service.ts";

const eccService = join(import.meta.dirname, "../../src/enclave/ecc/service/main.ts");
const chaincode = "auction";
const mspIds = ["Org1MSP", "Org2MSP", "Org3MSP"] as const;

/**
 * Three organisations on a channel of test peers, as their operators set it up: ERCC and the private chaincode's part as services,
 * a gateway under TLS for each organisation, and for each a folder with its admin's identity, its own keys, a simulated
 * platform and its connection settings. The policy is set; there is no enclave yet.
 */
export class FabricConsortium implements AsyncDisposable {
  readonly channel: TestChannel;
  readonly gateways: readonly GatewayService[];
  readonly #folder: string;
  readonly #ecc: ChaincodeProcess;
  readonly #stack: AsyncDisposableStack;

  private constructor(
    folder: string,
    channel: TestChannel,
    gateways: readonly GatewayService[],
    ecc: ChaincodeProcess,
    stack: AsyncDisposableStack,
  ) {
    this.#folder = folder;
    this.channel = channel;
    this.gateways = gateways;
    this.#ecc = ecc;
    this.#stack = stack;
  }

  /** @param folder - Empty, and the caller's to remove. */
  static async start(folder: string): Promise<FabricConsortium> {
    await using stack = new AsyncDisposableStack();
    const ercc = stack.use(await ChaincodeProcess.start(erccService, "ercc_1.0:0123"));
    const ecc = stack.use(await ChaincodeProcess.startEntry(eccService, "auction_1.0:0123", "--name", chaincode));
    const channel = stack.use(await TestChannel.create("channel1", mspIds));
    const version = await measureCode(ownCode());
    channel.define("ercc", "1.0", 1, 2);
    channel.define(chaincode, version, 1, 2);
    const gateways: GatewayService[] = [];
    for (const organisation of channel.organisations) {
      const { mspId } = organisation;
      channel.install(mspId, "ercc", await ercc.connect("ercc"));
      channel.install(mspId, chaincode, await ecc.connect(chaincode));
      const tls = await organisation.issueTls(`peer0.${mspId.toLowerCase()}.example.com`);
      // The first organisation's peer demands a certificate of its clients as well.
      const clientRoot = mspId === "Org1MSP" ? { clientRoot: organisation.root } : {};
      gateways.push(stack.use(await GatewayService.start(channel, mspId, { ...tls, ...clientRoot })));
    }
    const consortium = new FabricConsortium(folder, channel, gateways, ecc, stack.move());
    await consortium.#setUp(version);
    return consortium;
  }

  /** An organisation's folder, by its number from 1. */
  folderOf(number: number): string {
    return join(this.#folder, mspIds[number - 1] ?? "");
  }

  /** The file that `--connection` names. */
  connectionOf(number: number): string {
    return join(this.folderOf(number), "connection.json");
  }

  member(number: number): Promise<FabricMember> {
    return this.memberOf(this.connectionOf(number));
  }

  /** By connection settings of one's own. */
  async memberOf(path: string): Promise<FabricMember> {
    return this.#stack.use(await FabricMember.open(path));
  }

  /** The private chaincode's part as a service again, at a peer that ran it in another way. */
  async serve(mspId: string): Promise<void> {
    this.channel.install(mspId, chaincode, await this.#ecc.connect(chaincode));
  }

  /** For identities that are not in files. Not of the first organisation, whose peer wants a certificate of clients. */
  ledger(mspId: string): FabricLedger {
    const index = (mspIds as readonly string[]).indexOf(mspId);
    const address = this.gateways[index]?.address ?? "";
    const tlsRoots = this.channel.organisation(mspId).root;
    const gateway = { address, tlsRoots, tlsServerName: `peer0.${mspId.toLowerCase()}.example.com` };
    // Any organisation's identities may ask a peer.
    const gateways = Object.fromEntries(mspIds.map((one) => [one, gateway]));
    return FabricLedger.open({ channelId: this.channel.channelId, gateways });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }

  async #setUp(version: string): Promise<void> {
    const root = await createAttestationRoot(join(this.#folder, "attestation-root"), "root of simulated platforms");
    const made: TrialOrganisation[] = [];
    for (const [index, mspId] of mspIds.entries()) {
      const folder = this.folderOf(index + 1);
      mkdirSync(folder, { recursive: true });
      made.push(await TrialOrganisation.create(mspId, folder, root));
      await this.#writeConnection(index, mspId, folder);
    }
    const admin = await this.member(1);
    await admin.client.submit("setChannelHash", this.channel.genesisHash.toString("hex"));
    const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();
    const document = readPolicyDocument(
      JSON.stringify({
        channel: this.channel.channelId,
        chaincode,
        number: 1,
        organisations: made.map((one) => {
          const { policyKey, recoveryKey } = one.publicKeys();
          return { mspId: one.mspId, policyKey: text(policyKey), recoveryKey: text(recoveryKey) };
        }),
        threshold: 2,
        recoveryThreshold: 2,
        allowedVersions: [version],
        allowedAttestationTypes: ["simulated"],
        evidenceAgeSeconds: 86_400,
        exportLifetimeSeconds: 86_400,
        attestationRoots: [{ type: "simulated", root: root.pem }],
        trustedLedger: {
          registry: "ercc",
          quorum: 2,
          organisations: this.channel.organisations.map((one) => ({ mspId: one.mspId, roots: [one.root] })),
        },
      }),
    );
    const members = [admin, await this.member(2), await this.member(3)];
    await setPolicy(
      admin.client,
      document,
      members.map((member) => signDocument(member, document)),
    );
  }

  async #writeConnection(index: number, mspId: string, folder: string): Promise<void> {
    const organisation = this.channel.organisation(mspId);
    const admin = await organisation.issue("admin");
    const tls = await organisation.issueTls("admin");
    const write = (name: string, text: string) => {
      writeFileSync(join(folder, name), text);
      chmodSync(join(folder, name), 0o600);
    };
    write("admin.pem", admin.certificate);
    write("admin-key.pem", admin.key);
    write("tls-root.pem", organisation.root);
    for (const one of this.channel.organisations) write(`${one.mspId}-ca.pem`, one.root);
    const clientTls = { tlsCertificate: "tls.pem", tlsKey: "tls-key.pem" };
    if (mspId === "Org1MSP") {
      write("tls.pem", tls.certificate);
      write("tls-key.pem", tls.key);
    }
    const settings = {
      format: 1,
      channel: this.channel.channelId,
      channelHash: this.channel.genesisHash.toString("hex"),
      chaincode,
      gateway: {
        address: this.gateways[index]?.address,
        tlsRoots: "tls-root.pem",
        tlsServerName: `peer0.${mspId.toLowerCase()}.example.com`,
        ...(mspId === "Org1MSP" ? clientTls : {}),
      },
      identity: { mspId, certificate: "admin.pem", key: "admin-key.pem" },
      host: {
        kind: "folder",
        folder: "host",
        peerEndpoint: `peer0.${mspId.toLowerCase()}.example.com:7051`,
        tee: { kind: "process", platform: "platform" },
      },
      trustedLedger: {
        quorum: 2,
        organisations: this.channel.organisations.map((one) => ({ mspId: one.mspId, roots: [`${one.mspId}-ca.pem`] })),
      },
      organisationKeys: { policy: "policy-key.pem", recovery: "recovery-key.pem" },
    };
    write("connection.json", `${JSON.stringify(settings, null, 2)}\n`);
  }
}
