import { type ConnectionOptions, withClient } from "../connection.ts";
import { CommandFailure, exitCodes } from "../failure.ts";
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

const wholeId = /^[0-9A-F]{64}$/;

/** By the first digits of it, as the list shows them. @throws CommandFailure none, or more than one */
function idOf(digits: string, reported: readonly { readonly enclave: string }[]): string {
  const found = reported.filter(({ enclave }) => digits !== "" && enclave.startsWith(digits.toUpperCase()));
  const [one, ...others] = found;
  if (one === undefined || others.length > 0)
    throw new CommandFailure(
      exitCodes.usage,
      `${found.length === 0 ? "no reported enclave has" : `${found.length} reported enclaves have`} an id that begins with ${digits}`,
      "strongroom node enclave list shows the ids",
    );
  return one.enclave;
}

export async function runEnclaveForget(node: string, id: string, options: ConnectionOptions): Promise<void> {
  const whole = await withClient(options, async (client) => {
    const found = wholeId.test(id) ? id : idOf(id, await client.enclaves.list(node));
    await client.enclaves.forget(node, found);
    return found;
  });
  tell(`what ${node} reported of enclave ${whole} is gone, until it reports it again`);
}
