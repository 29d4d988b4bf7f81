import { CustodyError } from "../../custody/errors.ts";
import { codeLifeMs } from "../console/one-time-codes.ts";
import { type Endpoint, endpointForSecret } from "./endpoint.ts";

const action = "strongroom:CreateConsoleCode";

/** One-time codes for the console. Whoever holds the data folder makes them: a code is its principal, for one sign-in. */
export const consoleEndpoints: readonly Endpoint[] = [
  endpointForSecret("console.createCode", async ({ custody, caller, consoleCodes }, input) => {
    if (caller.door !== "local") {
      await custody.recordRefused(caller, action, "ACCESS_DENIED");
      throw new CustodyError("ACCESS_DENIED", "codes for the console are made over the administration socket only");
    }
    if (consoleCodes === undefined)
      throw new CustodyError("INPUT_INVALID", "this server has no console: start it with serve --console HOST:PORT");
    const { localAdministrator } = custody.identity;
    const name = input.principal ?? localAdministrator.slice(localAdministrator.lastIndexOf("/") + 1);
    const principal = (await custody.principals.list(caller)).find((each) => each.name === name);
    if (principal === undefined)
      throw new CustodyError("PRINCIPAL_NOT_FOUND", `there is no principal ${JSON.stringify(name)}`);
    if (principal.kind !== "user" || principal.state !== "enabled")
      throw new CustodyError("INPUT_INVALID", `${name} is no enabled user: only users sign in to the console`);
    await custody.acknowledge(caller, action, { name });
    const expiresAt = new Date(Date.now() + codeLifeMs).toISOString();
    return { principal: principal.arn, expiresAt, secret: consoleCodes.issue(principal.arn) };
  }),
];
