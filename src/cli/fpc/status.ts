import { Command } from "commander";
import type { KeyManagedEnclave } from "../../enclave/operator/enclave-key-managers.ts";
import type { ChaincodeStatus } from "../../enclave/operator/status.ts";
import { type OutputOptions, printData, withJson } from "../output.ts";
import { enclaveTable } from "./enclave.ts";
import { asMember, type MemberOptions, withMember } from "./member-session.ts";

export function statusCommand(): Command {
  return withJson(withMember(new Command("status")))
    .description("the chaincode's enclaves and keys, and what its kind of enclave does not protect from")
    .action((options: MemberOptions & OutputOptions) =>
      asMember(options, async ({ member }) => {
        const { chaincodeStatus } = await import("../../enclave/operator/status.ts");
        const { describeBackends } = await import("../../enclave/tee/open-backend.ts");
        const facts = describeBackends().find(({ kind }) => kind === member.teeKind);
        const keyManagers = member.keyManagers?.enclaves() ?? [];
        const status = { ...(await chaincodeStatus(member.client)), tee: facts, keyManagers };
        printData(options, status, (value) =>
          [
            ...lines(value),
            ...(facts === undefined ? [] : [`tee         ${facts.kind}: ${facts.doesNotProtect}`]),
            ...keyManagers.map(keyManagerLine),
            "",
            enclaveTable(value.enclaves),
          ].join("\n"),
        );
      }),
    );
}

/** Of this host's enclaves alone: others have key managers of their own. */
function keyManagerLine({ id, name, keyManager }: KeyManagedEnclave): string {
  const { servers, masterKey } = keyManager;
  return `key manager ${id.slice(0, 16)} (${name}) opens by the word of ${servers.join(", ")} only: ${masterKey}`;
}

function lines(status: ChaincodeStatus): readonly string[] {
  const {
    chaincodeId,
    channelId,
    activeGeneration,
    proposedGeneration,
    confirmedBy,
    mustRotate,
    recoveryThreshold,
    policyNumber,
    definition,
  } = status;
  const generation = [
    activeGeneration === undefined ? "none generated" : `${activeGeneration} in force`,
    ...(proposedGeneration === undefined
      ? []
      : [`${proposedGeneration} proposed and confirmed by ${confirmedBy.length} of the enclaves`]),
    ...(mustRotate ? ["an enclave was revoked: rotate before anything is written"] : []),
  ].join(", ");
  return [
    `chaincode   ${chaincodeId} on ${channelId}`,
    `keys        ${generation}`,
    `recovery    ${recoveryThreshold === undefined ? "no shares issued" : `by ${recoveryThreshold} organisations`}`,
    `policy      number ${policyNumber}`,
    `definition  sequence ${definition.sequence}, endorsed by ${definition.endorsement}`,
  ];
}
