import { Command } from "commander";
import { withConnection } from "../connection.ts";
import { withJson } from "../output.ts";

/** `strongroom node counter`: the counters that nodes keep at the key manager. */
export function counterCommand(): Command {
  const counter = new Command("counter").description(
    "at the key manager: the counters by which a node's rolled-back state is caught",
  );
  counter.addCommand(listCommand());
  counter.addCommand(resetCommand());
  return counter;
}

function listCommand(): Command {
  return withJson(withConnection(new Command("list")))
    .description("the counters of one node, or of all, and where they stand")
    .argument("[node]", "the node's name")
    .addHelpText("after", "\nExample:\n  strongroom node counter list node-1 --data ./km")
    .action(async (node, options) => (await import("./counter.ts")).runCounterList(node, options));
}

function resetCommand(): Command {
  return withConnection(new Command("reset"))
    .description("remove a counter: its node begins it anew, from whatever its state says")
    .argument("<node>", "the node's name")
    .argument("<name>", "the counter's name, as list shows it")
    .option("--yes", "really")
    .addHelpText(
      "after",
      `
A node whose state was put back can vote again for heights that it has voted for, once its counter is reset. That is safe only
while no other copy of the node runs, and once the other nodes have finished a block after its last vote (ADVANCED of list):
they vote no more where it could contradict itself. If you can't be sure of both, give the node a new key instead.

Example:
  strongroom node counter reset node-1 chain-1/votes --yes --data ./km`,
    )
    .action(async (node, name, options) => (await import("./counter.ts")).runCounterReset(node, name, options));
}
