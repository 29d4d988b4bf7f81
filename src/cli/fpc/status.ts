import { Command } from "commander";
import type { Awaited } from "../../enclave/operator/awaited-step.ts";
import type { KeyManagedEnclave } from "../../enclave/operator/enclave-key-managers.ts";
import type { ChaincodeStatus } from "../../enclave/operator/status.ts";
import { type OutputOptions, printData, withJson } from "../output.ts";
import { enclaveTable } from "./enclave.ts";
import { asMember, type MemberOptions, withMember } from "./member-session.ts";

export function statusCommand(): Command {
  return withJson(withMember(new Command("status")))
    .description(
      "the chaincode's enclaves and keys, what is awaited of whom, and what its kind of enclave does not protect from",
    )
    .action((options: MemberOptions & OutputOptions) =>
      asMember(options, async ({ member }) => {
        const { awaitedOf } = await import("../../enclave/operator/awaited.ts");
        const { chaincodeStatus } = await import("../../enclave/operator/status.ts");
        const { describeBackends } = await import("../../enclave/tee/open-backend.ts");
        const facts = describeBackends().find(({ kind }) => kind === member.teeKind);
        const keyManagers = member.keyManagers?.enclaves() ?? [];
        const onLedger = await chaincodeStatus(member.client);
        const awaited = await awaitedOf(member.client, onLedger);
        const names = member.enclaveNames();
        const status = { ...onLedger, awaited, tee: facts, keyManagers };
        printData(options, status, (value) =>
          [
            ...lines(value),
            ...value.awaited.map((one) => awaitedLine(one, names)),
            ...(facts === undefined ? [] : [`tee         ${facts.kind}: ${facts.doesNotProtect}`]),
            ...keyManagers.map(keyManagerLine),
            "",
            enclaveTable(value.enclaves),
          ].join("\n"),
        );
      }),
    );
}

/** Whose turn it is, and what the step is; an enclave of the own host by its name there. @param names - By id */
export function awaitedLine({ of, command, enclave, why }: Awaited, names: ReadonlyMap<string, string>): string {
  if (command === undefined) return `lost        ${why}`;
  const name = enclave === undefined ? undefined : names.get(enclave);
  const by = enclave === undefined ? "" : ` by enclave ${enclave.slice(0, 16)}`;
  const step = name === undefined ? `${command}${by}` : `${command} --enclave ${name}${by}`;
  return `awaited     ${of.join(" or ")}: ${step} (${why})`;
}

/** Of this host's enclaves alone: others have key managers of their own. */
function keyManagerLine({ id, name, keyManager }: KeyManagedEnclave): string {
  const { servers, masterKey } = keyManager;
  return `key manager ${id.slice(0, 16)} (${name}) opens by the word of ${servers.join(", ")} only: ${masterKey}`;
}

function recoveryLine({ recoveryThreshold, recoveryIssues, policyNumber }: ChaincodeStatus): string {
  if (recoveryIssues.length === 0) return "no shares issued";
  if (recoveryThreshold === undefined)
    return `shares for former organisations alone, none for those of policy ${policyNumber}`;
  const issuers = recoveryIssues.filter((one) => one.isForPolicy).map(({ issuedBy }) => issuedBy);
  return `by ${recoveryThreshold} organisations, with shares that ${[...new Set(issuers)].join(" and ")} issued`;
}

function lines(status: ChaincodeStatus): readonly string[] {
  const {
    chaincodeId,
    channelId,
    activeGeneration,
    proposedGeneration,
    confirmedBy,
    mustRotate,
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
    `recovery    ${recoveryLine(status)}`,
    `policy      number ${policyNumber}`,
    `definition  sequence ${definition.sequence}, endorsed by ${definition.endorsement}`,
  ];
}
