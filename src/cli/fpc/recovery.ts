import type { KeyObject } from "node:crypto";
import { Command } from "commander";
import type { Member } from "../../enclave/operator/member.ts";
import type { GoodShares, UselessIssue } from "../../enclave/operator/recovery.ts";
import type { ReleasedShares } from "../../enclave/operator/recovery-issues.ts";
import type { EnclaveRow } from "../../enclave/operator/status.ts";
import { type OutputOptions, printData, table, tell, withJson } from "../output.ts";
import { resolveEnclave } from "./find-enclave.ts";
import {
  asMember,
  type EnclaveOptions,
  type MemberOptions,
  withAgent,
  withEnclave,
  withMember,
} from "./member-session.ts";

/** `keys share`, `keys release` and `keys recover`. */
export function recoveryCommands(): readonly Command[] {
  return [
    withJson(withEnclave(new Command("share")))
      .description("see to it that there are recovery shares of the active keys that this organisation can rely on")
      .addHelpText(
        "after",
        `
Where there are none for the organisations of the policy in force, the enclave issues them, one to each. Where there are, nothing is
issued or replaced: the enclave verifies that they fit together and open the keys, and the organisation's recovery key that it was given its own
share. Only where that fails are others issued beside them. Call it at each organisation after a rotation, or a policy document
with other organisations.`,
      )
      .action(share),
    withJson(withMember(new Command("release").argument("[id]", "the receiving enclave's id, or its first digits")))
      .description("let an enclave have the organisation's recovery shares; without an id, show who holds shares")
      .action(release),
    withJson(withEnclave(new Command("recover")))
      .description(
        "have an enclave put the keys together from the shares released to it, and register that it holds them",
      )
      .action(recover),
  ];
}

async function share(options: EnclaveOptions & OutputOptions): Promise<void> {
  await withAgent(options, async ({ member, agent }) => {
    const { issueShares } = await import("../../enclave/operator/recovery.ts");
    const recoveryKey = recoveryKeyOf(member);
    const good = await issueShares(member.client, agent, recoveryKey);
    const { issue, generation, policyNumber, isNew, useless } = good;
    const result = {
      generation: Number(generation),
      policy: Number(policyNumber),
      issued: isNew,
      issuedBy: issue.mspId,
      shares: issue.holders.length,
      holders: issue.holders,
      threshold: issue.message.threshold,
      ownShareOpened: recoveryKey !== undefined && issue.holders.includes(member.mspId),
      useless: useless.map(asData),
    };
    printData(options, result, () => shareLines(good, member.mspId, result.ownShareOpened).join("\n"));
    if (isNew) tell("have the other organisations verify them before they are needed: strongroom fpc keys share");
  });
}

/** A member whose own keys are elsewhere has its enclave verify what that can, and is told so. */
function recoveryKeyOf(member: Member): KeyObject | undefined {
  if (member.hasKeys) return member.keys().recoveryKey;
  tell(`the own share of ${member.mspId} is not opened: the connection settings name no organisationKeys`);
  return undefined;
}

function shareLines({ generation, policyNumber, issue, isNew, useless }: GoodShares, mspId: string, isOpened: boolean) {
  const { holders, message } = issue;
  const own = isOpened ? [`${mspId}'s own share opens with its recovery key`] : [];
  const before = useless.map((one) => `shares that ${one.issue.mspId} issued are of no use: ${one.because}`);
  const what = `${holders.length} shares of generation ${generation}`;
  if (isNew)
    return [
      ...before,
      `${what} are issued; ${message.threshold} recover it`,
      `held by ${holders.join(", ")}, for policy ${policyNumber}`,
      ...own,
    ];
  return [
    ...before,
    `${what} were issued by ${issue.mspId} already, for policy ${policyNumber}: nothing is issued or replaced`,
    `this enclave has verified that any ${message.threshold} of them recover it`,
    `held by ${holders.join(", ")}`,
    ...own,
  ];
}

async function release(id: string | undefined, options: MemberOptions & OutputOptions): Promise<void> {
  await asMember(options, async ({ member }) => {
    const recovery = await import("../../enclave/operator/recovery.ts");
    const { client } = member;
    if (id === undefined) {
      const shares = (await recovery.requireIssues(client)).map((issue) => ({
        issue,
        needed: issue.message.threshold,
      }));
      printData(options, { shares: shares.map(sharesAsData) }, () => sharesTable(shares));
      tell("name the enclave that is to have this organisation's: strongroom fpc keys release ID");
      return;
    }
    const receiver = await resolveEnclave(member, id);
    const keys = member.keys();
    tell(`releasing the shares of ${member.mspId} to ${describeReceiver(receiver)}`);
    const { shares, useless } = await recovery.releaseOwnShares(client, member.view(), keys, receiver.id);
    const result = {
      releasedBy: member.mspId,
      receiver: receiver.id,
      organisation: receiver.mspId,
      shares: shares.map(sharesAsData),
      useless: useless.map(asData),
    };
    printData(options, result, () =>
      [
        `${member.mspId} released its shares to ${receiver.id} of ${receiver.mspId}`,
        ...useless.map((one) => `but not of the shares that ${one.issue.mspId} issued: ${one.because}`),
        sharesTable(shares),
      ].join("\n"),
    );
  });
}

function describeReceiver({ id, mspId, endpoint, measurement, state }: EnclaveRow): string {
  return `enclave ${id} of ${mspId} at ${endpoint}, ${state}, of measurement ${measurement}`;
}

/** Shares, and where they were released to an enclave, by whom. */
type ShownShares = Omit<ReleasedShares, "releasedBy"> & Partial<ReleasedShares>;

function sharesTable(shares: readonly ShownShares[]): string {
  const isReleased = shares.some(({ releasedBy }) => releasedBy !== undefined);
  return table(
    ["ISSUED BY", "POLICY", "HOLDERS", ...(isReleased ? ["RELEASED BY"] : []), "NEEDED"],
    shares.map(({ issue, releasedBy, needed }) => [
      issue.mspId,
      `${issue.message.policyNumber || "unknown"}`,
      issue.holders.join(", "),
      ...(releasedBy === undefined ? [] : [releasedBy.join(", ") || "none"]),
      `${needed}`,
    ]),
  );
}

function sharesAsData({ issue, releasedBy, needed }: ShownShares) {
  const { mspId, holders, message } = issue;
  const { policyNumber, generation } = message;
  return {
    generation: Number(generation),
    policy: Number(policyNumber),
    issuedBy: mspId,
    holders,
    ...(releasedBy && { releasedBy }),
    needed,
  };
}

function asData({ issue, because }: UselessIssue) {
  return { issuedBy: issue.mspId, policy: Number(issue.message.policyNumber), because };
}

async function recover(options: EnclaveOptions & OutputOptions): Promise<void> {
  await withAgent(options, async ({ member: { client }, agent }) => {
    const { recoverKeys } = await import("../../enclave/operator/recovery.ts");
    const { ownId } = await import("../../enclave/operator/provisioning.ts");
    await recoverKeys(client, agent);
    const enclave = ownId(agent);
    printData(options, { enclave }, () => `enclave ${enclave} has recovered the keys of ${client.chaincodeId}`);
  });
}
