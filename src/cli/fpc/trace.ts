import { Command, Option } from "commander";
import { shownLines } from "../audit-lines.ts";
import { printText } from "../output.ts";
import { asMember, type MemberOptions, requireChaincode, withMember } from "./member-session.ts";

export function traceCommand(): Command {
  return withMember(new Command("trace").argument("<chaincode>", "the private chaincode"))
    .description("the sequence that really happened, from the ledger and the stubs' journals, as a sequence diagram")
    .addOption(
      new Option("--format <format>", "what draws it").choices(["plantuml", "mermaid"] as const).default("plantuml"),
    )
    .action(trace);
}

async function trace(chaincode: string, options: MemberOptions & { format: "plantuml" | "mermaid" }): Promise<void> {
  await asMember(options, async ({ member }) => {
    requireChaincode(member, chaincode);
    const { client } = member;
    const { readLedgerSteps } = await import("../../enclave/operator/ledger-steps.ts");
    const { toMermaid, toPlantUml, traceArrows } = await import("../../enclave/operator/trace.ts");
    const steps = await readLedgerSteps(client.connection, await member.height());
    const arrows = traceArrows(client.registry, chaincode, steps, member.stubRecords());
    const draw = options.format === "plantuml" ? toPlantUml : toMermaid;
    printText(
      shownLines(draw(`Chaincode keys of ${chaincode}, as they were generated, exported and imported`, arrows)),
    );
  });
}
