import { type ConnectionOptions, withClient } from "../connection.ts";
import { type OutputOptions, printData, table, tell } from "../output.ts";
import { age } from "./age.ts";

export async function runEnclaveList(
  node: string | undefined,
  options: ConnectionOptions & OutputOptions,
): Promise<void> {
  const enclaves = await withClient(options, (client) => client.enclaves.list(node));
  const nowMs = Date.now();
  printData(options, enclaves, () =>
    table(
      [
        "HOST",
        "HOST IS",
        "ENCLAVE",
        "ORGANISATION",
        "CHANNEL",
        "CHAINCODE",
        "MEASUREMENT",
        "REPORTED AS",
        "GENERATION",
        "REPORTED AT",
        "AGE",
      ],
      enclaves.map((each) => [
        each.node,
        each.hostState,
        each.enclave.slice(0, 16),
        each.organisation,
        each.channel,
        each.chaincode,
        each.measurement.slice(0, 16),
        each.state,
        each.generation === null ? "-" : `${each.generation}`,
        each.reportedAt,
        age(each.reportedAt, nowMs),
      ]),
    ),
  );
  const revoked = new Set(enclaves.filter(({ hostState }) => hostState === "revoked").map((each) => each.node));
  if (revoked.size > 0)
    tell(
      `${[...revoked].join(", ")}: revoked, so no enclave starts there again, and what was reported of them stays as it was; strongroom fpc status shows the ledger's word`,
    );
}

export async function runEnclaveForget(node: string, id: string, options: ConnectionOptions): Promise<void> {
  await withClient(options, async (client) => client.enclaves.forget(node, id));
  tell(`what ${node} reported of enclave ${id} is gone, until it reports it again`);
}
