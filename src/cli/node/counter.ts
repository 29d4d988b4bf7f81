import { type ConnectionOptions, withClient } from "../connection.ts";
import { CommandFailure, exitCodes } from "../failure.ts";
import { type OutputOptions, printData, table, tell } from "../output.ts";

interface ResetOptions extends ConnectionOptions {
  readonly yes?: true;
}

export async function runCounterList(
  node: string | undefined,
  options: ConnectionOptions & OutputOptions,
): Promise<void> {
  await withClient(options, async (client) =>
    printData(options, await client.counters.list(node), (counters) =>
      table(
        ["NODE", "COUNTER", "VALUE", "ADVANCED", "STAMP"],
        counters.map((each) => [each.node, each.name, String(each.value), each.advancedAt, each.stamp]),
      ),
    ),
  );
}

/** Without `--yes` it says what would be given up, and changes nothing. */
export async function runCounterReset(node: string, name: string, options: ResetOptions): Promise<void> {
  await withClient(options, async (client) => {
    if (options.yes !== true) {
      const stands = (await client.counters.list(node)).find((each) => each.name === name);
      throw stands === undefined ? noSuchCounter(node, name) : unconfirmed(node, name, stands);
    }
    await client.counters.reset(node, name);
    tell(`counter ${name} of ${node} is gone; a node whose state was put back can vote again from there`);
  });
}

function noSuchCounter(node: string, name: string): CommandFailure {
  const message = `${node} has no counter ${JSON.stringify(name)}`;
  return new CommandFailure(exitCodes.other, message, `strongroom node counter list ${node}`);
}

function unconfirmed(node: string, name: string, stands: { readonly value: number; readonly advancedAt: string }) {
  return new CommandFailure(
    exitCodes.usage,
    `this forgets that ${node} is at ${stands.value} of ${name}: with state that was put back, it could vote again for heights ` +
      "that it has voted for",
    `safe only while no other copy of ${node} runs, and once the other nodes have finished a block after ${stands.advancedAt}; ` +
      "then say --yes",
  );
}
