/** ERCC in Fabric's own chaincode runtime (fabric-shim), asked through Fabric's gateway client and the test peers. */
import { erccService, FabricNetwork } from "../../test/fabric/fabric-network.ts";

export interface Rate {
  readonly perSecond: number;
  /** By the clock: the whole way, divided by the transactions. */
  readonly wallMs: number;
}

/** @param inFlight - How many transactions wait for their answer at once. */
export async function measureRuntime(transactions: number, inFlight: number): Promise<Readonly<Record<string, Rate>>> {
  await using network = await FabricNetwork.start({
    mspIds: ["Org1MSP", "Org2MSP", "Org3MSP"],
    chaincode: "ercc",
    folder: erccService,
    endorsers: 2,
  });
  network.channel.define("auction", "AB".repeat(32), 1, 1);
  await using ledger = network.ledger();
  const connection = await ledger.connect(await network.channel.organisation("Org1MSP").issue("admin"));
  const calls = {
    "queryListProvisionedEnclaves (a range of keys)": ["queryListProvisionedEnclaves", "auction"],
    "canEndorse (an enclave that is not there)": ["canEndorse", "auction", "AB".repeat(32)],
  };
  const rates: Record<string, Rate> = {};
  for (const [name, [transaction = "", ...args]] of Object.entries(calls)) {
    const run = async (count: number) => {
      let left = count;
      const one = async () => {
        for (; left > 0; ) {
          left -= 1;
          await connection.evaluate("ercc", transaction, args);
        }
      };
      await Promise.all(Array.from({ length: inFlight }, one));
    };
    await run(Math.min(50, transactions));
    const startedMs = performance.now();
    await run(transactions);
    const wallMs = performance.now() - startedMs;
    rates[name] = { perSecond: (transactions * 1000) / wallMs, wallMs: wallMs / transactions };
  }
  return rates;
}
