import { Command, Option } from "commander";
import { shownLines } from "../audit-lines.ts";
import { printText } from "../output.ts";
import { asOrganisation, checkChaincode, type OrganisationOptions, withOrganisation } from "./network-session.ts";

export function traceCommand(): Command {
  return withOrganisation(new Command("trace").argument("<chaincode>", "the private chaincode"))
    .description("the sequence that really happened, from the ledger and the stubs' journals, as a sequence diagram")
    .addOption(
      new Option("--format <format>", "what draws it").choices(["plantuml", "mermaid"] as const).default("plantuml"),
    )
    .action(trace);
}

async function trace(
  chaincode: string,
  options: OrganisationOptions & { format: "plantuml" | "mermaid" },
): Promise<void> {
  await asOrganisation(options, async ({ network, client }) => {
    checkChaincode(network, chaincode);
    const { readLedgerSteps } = await import("../../enclave/operator/ledger-steps.ts");
    const { toMermaid, toPlantUml, traceArrows } = await import("../../enclave/operator/trace.ts");
    const { readStubRecords } = await import("../../enclave/operator/trial-records.ts");
    const steps = await readLedgerSteps(client.connection, network.ledger.height);
    const arrows = traceArrows(client.registry, chaincode, steps, readStubRecords(network));
    const draw = options.format === "plantuml" ? toPlantUml : toMermaid;
    printText(
      shownLines(draw(`Chaincode keys of ${chaincode}, as they were generated, exported and imported`, arrows)),
    );
  });
}
