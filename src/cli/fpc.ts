import { Command } from "commander";
import { chaincodeCommand } from "./fpc/chaincode.ts";
import { enclaveCommand } from "./fpc/enclave.ts";
import { invokeCommand } from "./fpc/invoke.ts";
import { keysCommand } from "./fpc/keys.ts";
import { lifecycleCommand } from "./fpc/lifecycle.ts";
import { networkCommand } from "./fpc/network.ts";
import { platformCommand } from "./fpc/platform.ts";
import { policyCommand } from "./fpc/policy.ts";
import { statusCommand } from "./fpc/status.ts";
import { traceCommand } from "./fpc/trace.ts";

/** `strongroom fpc`: keys of confidential chaincode, made in enclaves and handed from one to the other. */
export function command(): Command {
  return new Command("fpc")
    .description(
      "Keys of private chaincode (Fabric Private Chaincode): generate, register, export and import between enclaves.",
    )
    .addHelpText(
      "after",
      `
Example:
  strongroom fpc network up --orgs 3
  strongroom fpc lifecycle chaincode initEnclave auction --org 1
  strongroom fpc lifecycle chaincode initEnclave auction --org 2
  strongroom fpc lifecycle chaincode exportcckeys auction --org 1
  strongroom fpc lifecycle chaincode importcckeys auction --org 2
  strongroom fpc invoke auction create picture
  strongroom fpc status`,
    )
    .addCommand(networkCommand())
    .addCommand(enclaveCommand())
    .addCommand(keysCommand())
    .addCommand(chaincodeCommand())
    .addCommand(policyCommand())
    .addCommand(platformCommand())
    .addCommand(statusCommand())
    .addCommand(invokeCommand())
    .addCommand(traceCommand())
    .addCommand(lifecycleCommand());
}
