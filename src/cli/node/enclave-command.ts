import { Command } from "commander";
import { withConnection } from "../connection.ts";
import { withJson } from "../output.ts";

/** `strongroom node enclave`: the enclaves that hosts tell of at the key manager. */
export function enclaveCommand(): Command {
  const enclave = new Command("enclave").description(
    "at the key manager: the enclaves that nodes have reported, and where these were then",
  );
  enclave.addCommand(
    withJson(withConnection(new Command("list")))
      .description("the enclaves of one node, or of all, as they were reported")
      .argument("[node]", "the node's name")
      .addHelpText("after", "\nExample:\n  strongroom node enclave list host-1 --data ./km")
      .action(async (node, options) => (await import("./enclave.ts")).runEnclaveList(node, options)),
  );
  enclave.addCommand(
    withConnection(new Command("forget"))
      .description("remove what a node reported of an enclave that is no more; its key is not touched")
      .argument("<node>", "the node's name")
      .argument("<id>", "the enclave's id, or its first digits, as list shows them")
      .addHelpText("after", "\nExample:\n  strongroom node enclave forget host-1 0A1B… --data ./km")
      .action(async (node, id, options) => (await import("./enclave.ts")).runEnclaveForget(node, id, options)),
  );
  return enclave;
}
