import { Command, Option } from "commander";
import type { EnclaveRow } from "../../enclave/operator/status.ts";
import { CommandFailure, exitCodes } from "../failure.ts";
import { type OutputOptions, printData, printText, tell, withJson } from "../output.ts";
import { readDocument } from "./document-file.ts";
import { resolveEnclave } from "./find-enclave.ts";
import { asMember, type MemberOptions, type MemberSession, withMember } from "./member-session.ts";
import { shellQuoted } from "./shell.ts";

interface RevokeOptions extends MemberOptions, OutputOptions {
  readonly reason: string;
  readonly sign?: boolean;
  readonly together?: boolean;
}

/** `strongroom fpc keys revoke`. */
export function revokeCommand(): Command {
  return withJson(withMember(new Command("revoke")))
    .argument("<id>", "the enclave's id, or its first digits")
    .argument("[signatures...]", "with --together: files, each what --sign printed at an organisation")
    .description(
      "put an enclave out; where it may hold the keys, nothing is written or exported until they are rotated",
    )
    .requiredOption("--reason <text>", "why, for the ledger")
    .addOption(
      new Option(
        "--sign",
        "sign that the enclave is to be put out, whoever's it is; the signature is JSON, for --together",
      ).conflicts("together"),
    )
    .option(
      "--together",
      "for another organisation's enclave: by what as many organisations signed as the policy's threshold",
    )
    .addHelpText(
      "after",
      `
An organisation puts its own enclaves out alone. Another's, as many do as the policy's threshold: each signs the same id and
reason, and one of them brings the signatures to the ledger. On a trial network all organisations sign where no signatures are
named, as all of their keys are in its folder.

Example:
  strongroom fpc keys revoke 41D0 --reason "its host was stolen" --sign --connection org1.json > org1.signature
  strongroom fpc keys revoke 41D0 --reason "its host was stolen" --sign --connection org3.json > org3.signature
  strongroom fpc keys revoke 41D0 org1.signature org3.signature --reason "its host was stolen" --together --connection org1.json`,
    )
    .action(revoke);
}

async function revoke(id: string, signatures: readonly string[], options: RevokeOptions): Promise<void> {
  if (signatures.length > 0 && !options.together)
    throw new CommandFailure(exitCodes.usage, "signatures are for --together", "strongroom fpc keys revoke --help");
  await asMember(options, async (session) => {
    const { client } = session.member;
    const enclave = await resolveEnclave(session.member, id);
    if (options.sign) return await sign(session, enclave, options);
    const enclaveId = enclave.id;
    if (options.together) await together(session, enclaveId, signatures, options);
    else {
      const { revokeOwn } = await import("../../enclave/operator/revocation.ts");
      await revokeOwn(client, enclaveId, options.reason);
    }
    printData(options, { revoked: enclaveId }, () => `enclave ${enclaveId} is revoked`);
    const rotate = `keys rotate${session.network === undefined ? " --phase propose" : ""}`;
    const state = await client.keyState();
    if (state !== undefined && state.rotateAbove >= state.active)
      tell(`until the keys are rotated (strongroom fpc ${rotate}) nothing is written or exported`);
  });
}

async function sign(
  { member }: MemberSession,
  { id: enclaveId, mspId }: EnclaveRow,
  { reason }: RevokeOptions,
): Promise<void> {
  const { revocationOf, signRevocations } = await import("../../enclave/operator/revocation.ts");
  const revocation = await revocationOf(member.client, enclaveId, reason);
  tell(
    `signing that enclave ${enclaveId} of ${mspId} is to be put out, under policy ${revocation.policy.number}: ${reason}`,
  );
  const [signature] = signRevocations(revocation, new Map([[member.mspId, member.keys().policyKey]]));
  printText(JSON.stringify(signature));
}

async function together(
  { member, network }: MemberSession,
  enclaveId: string,
  files: readonly string[],
  options: RevokeOptions,
): Promise<void> {
  const { readRevocationSignature, revocationOf, revokeTogether, signRevocations } = await import(
    "../../enclave/operator/revocation.ts"
  );
  const revocation = await revocationOf(member.client, enclaveId, options.reason);
  if (files.length > 0) {
    const signed = files.map((path) => readDocument(path, (text) => readRevocationSignature(text, revocation)));
    return await revokeTogether(member.client, revocation, signed);
  }
  if (network !== undefined) {
    const signers = new Map(network.organisations.map((one) => [one.mspId, one.keys().policyKey]));
    return await revokeTogether(member.client, revocation, signRevocations(revocation, signers));
  }
  const { threshold, organisations } = revocation.policy;
  const command = `strongroom fpc keys revoke ${enclaveId}`;
  const reason = `--reason ${shellQuoted(options.reason)}`;
  throw new CommandFailure(
    exitCodes.usage,
    `${threshold} of ${organisations.map(({ mspId }) => mspId).join(", ")} have to sign, and no signatures are named: the other organisations' policy keys are not at hand`,
    [
      `at ${threshold} of them: ${command} ${reason} --sign --connection FILE > MSPID.signature`,
      `then at one: ${command} MSPID.signature… ${reason} --together --connection FILE`,
    ].join("; "),
  );
}
