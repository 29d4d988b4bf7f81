import { type ConnectionOptions, withClient } from "../connection.ts";
import { type OutputOptions, printData, table, tell } from "../output.ts";

export async function runEnclaveList(
  node: string | undefined,
  options: ConnectionOptions & OutputOptions,
): Promise<void> {
  await withClient(options, async (client) =>
    printData(options, await client.enclaves.list(node), (enclaves) =>
      table(
        ["HOST", "ENCLAVE", "ORGANISATION", "CHANNEL", "CHAINCODE", "MEASUREMENT", "STATE", "GENERATION", "REPORTED"],
        enclaves.map((each) => [
          each.node,
          each.enclave.slice(0, 16),
          each.organisation,
          each.channel,
          each.chaincode,
          each.measurement.slice(0, 16),
          each.state,
          each.generation === null ? "-" : `${each.generation}`,
          each.reportedAt,
        ]),
      ),
    ),
  );
}

export async function runEnclaveForget(node: string, id: string, options: ConnectionOptions): Promise<void> {
  await withClient(options, async (client) => client.enclaves.forget(node, id));
  tell(`what ${node} reported of enclave ${id} is gone, until it reports it again`);
}
