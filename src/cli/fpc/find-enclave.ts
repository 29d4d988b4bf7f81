import type { Member } from "../../enclave/operator/member.ts";
import type { EnclaveRow } from "../../enclave/operator/status.ts";
import { CommandFailure, exitCodes } from "../failure.ts";

/** One enclave by its id or the first digits of it. @throws CommandFailure none, or more than one */
export function findEnclave(enclaves: readonly EnclaveRow[], digits: string): EnclaveRow {
  if (!/^[0-9a-f]+$/i.test(digits))
    throw new CommandFailure(
      exitCodes.usage,
      "an enclave is named by its id or the first digits of it, hexadecimal",
      "strongroom fpc enclave list shows the ids",
    );
  const found = enclaves.filter(({ id }) => id.startsWith(digits.toUpperCase()));
  const [one, ...others] = found;
  if (one === undefined || others.length > 0)
    throw new CommandFailure(
      exitCodes.usage,
      `${found.length === 0 ? "no enclave has" : `${found.length} enclaves have`} an id that begins with ${digits}`,
      "strongroom fpc enclave list shows the ids",
    );
  return one;
}

/** One that the ledger has, by the same. @throws CommandFailure none, or more than one */
export async function resolveEnclave({ client }: Member, digits: string): Promise<EnclaveRow> {
  const { chaincodeStatus } = await import("../../enclave/operator/status.ts");
  return findEnclave((await chaincodeStatus(client)).enclaves, digits);
}
