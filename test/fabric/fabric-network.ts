import { join } from "node:path";
import { FabricLedger, type FabricLedgerOptions } from "../../src/enclave/ledger/fabric/fabric-ledger.ts";
import { ChaincodeProcess } from "./chaincode-process.ts";
import { TestChannel } from "./channel.ts";
import { GatewayService } from "./gateway-service.ts";

export const tinyChaincode: string = join(import.meta.dirname, "tiny-chaincode");
export const erccService: string = join(import.meta.dirname, "../../src/enclave/ercc/service");

export interface NetworkOptions {
  readonly mspIds: readonly string[];
  readonly chaincode: string;
  /** The folder that its package.json is in. */
  readonly folder: string;
  /** How many organisations have to endorse; all where it is not given. */
  readonly endorsers?: number;
  readonly env?: Readonly<Record<string, string>>;
}

/**
 * A channel of test peers with one chaincode on it, which runs in Fabric's own runtime, and a gateway for each organisation.
 * Real are the runtime (fabric-shim) and the client (fabric-gateway); peers, orderer and gateways are of the tests.
 */
export class FabricNetwork implements AsyncDisposable {
  readonly channel: TestChannel;
  readonly service: ChaincodeProcess;
  readonly gateways: readonly GatewayService[];

  readonly #chaincode: string;

  private constructor(
    chaincode: string,
    channel: TestChannel,
    service: ChaincodeProcess,
    gateways: readonly GatewayService[],
  ) {
    this.#chaincode = chaincode;
    this.channel = channel;
    this.service = service;
    this.gateways = gateways;
  }

  static async start({ mspIds, chaincode, folder, endorsers, env }: NetworkOptions): Promise<FabricNetwork> {
    const service = await ChaincodeProcess.start(folder, `${chaincode}_1.0:0123`, env);
    const channel = await TestChannel.create("channel1", mspIds);
    const gateways = await Promise.all(mspIds.map((mspId) => GatewayService.start(channel, mspId)));
    const network = new FabricNetwork(chaincode, channel, service, gateways);
    try {
      channel.define(chaincode, "1.0", 1, endorsers);
      for (const mspId of mspIds) channel.install(mspId, chaincode, await service.connect(chaincode));
    } catch (error) {
      await network[Symbol.asyncDispose]();
      throw error;
    }
    return network;
  }

  ledger(options: Partial<FabricLedgerOptions> = {}): FabricLedger {
    const gateways = Object.fromEntries(
      this.channel.organisations.map(({ mspId }, index) => [mspId, { address: this.gateways[index]?.address ?? "" }]),
    );
    return FabricLedger.open({ channelId: this.channel.channelId, gateways, ...options });
  }

  /** Kills the chaincode's process and has every peer go on with another one, which is the caller's to end. */
  async restart(folder: string): Promise<ChaincodeProcess> {
    await this.service[Symbol.asyncDispose]();
    const service = await ChaincodeProcess.start(folder, `${this.#chaincode}_1.0:0123`);
    for (const { mspId } of this.channel.organisations)
      this.channel.install(mspId, this.#chaincode, await service.connect(this.#chaincode));
    return service;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.gateways.map((each) => each[Symbol.asyncDispose]()));
    this.channel[Symbol.dispose]();
    await this.service[Symbol.asyncDispose]();
  }
}
