import type { OwnUpgrade, UpgradeWait } from "../../enclave/operator/own-upgrade.ts";
import { type OutputOptions, printData, tell } from "../output.ts";
import { writeNewText } from "./document-file.ts";
import { onFabric, requireChaincode } from "./member-session.ts";
import { shellQuoted } from "./shell.ts";

export interface FabricUpgradeOptions extends OutputOptions {
  readonly endorsement?: string;
  readonly connection: string;
  readonly document?: string;
}

/** What comes next in an upgrade, as people read it and programs do. */
interface NextStep {
  /** The organisations of which so many have to take it, each for itself. */
  readonly of: readonly string[];
  readonly needed: number;
  readonly what: string;
  /** With FILE for each one's own connection settings, and MSPID for its name. */
  readonly commands: readonly string[];
}

/** What the commands that are printed have in common. */
interface Naming {
  readonly channelId: string;
  readonly chaincodeId: string;
  /** The upgrade's own words, which every organisation uses. */
  readonly again: string;
  readonly version: string;
  readonly sequence: bigint;
  readonly endorsement: string;
  /** The file of a policy document. */
  readonly fileOf: (document: PolicyDocument) => string;
}

type PolicyDocument = Extract<UpgradeWait, { readonly kind: "policy" }>["document"];

/** `fpc chaincode upgrade --connection`: one organisation's part of it, and which commands come next of whom. */
export async function upgradeOnFabric(chaincodeId: string, options: FabricUpgradeOptions): Promise<void> {
  const { formatPolicy, parsePolicy } = await import("../../enclave/ledger/policy-text.ts");
  const { upgradeOwn } = await import("../../enclave/operator/own-upgrade.ts");
  const { writePolicyDocument } = await import("../../enclave/operator/policy-document.ts");
  const { reportEnclaves } = await import("../../enclave/operator/report-enclaves.ts");
  const wished = options.endorsement;
  await onFabric(options.connection, async (member) => {
    requireChaincode(member, chaincodeId);
    const endorsement = wished === undefined ? undefined : parsePolicy(wished).policy;
    const fileOf = ({ number }: PolicyDocument) => options.document ?? `policy-${number}.json`;
    const write = (document: PolicyDocument) =>
      writeNewText(fileOf(document), writePolicyDocument(document), "--document");
    const upgrade = await upgradeOwn(member, { endorsement, hasHost: member.hasHost, foreseen: write, told: tell });
    for (const problem of [...upgrade.leftBehind, ...(await reportEnclaves(member))]) tell(problem);
    const { version, sequence, done, leftBehind } = upgrade;
    const policy = upgrade.awaited.find((one) => one.kind === "policy");
    // Where others were at work in the meantime it may be another one.
    if (policy !== undefined) write(policy.document);
    const words = wished === undefined ? "" : ` --endorsement ${shellQuoted(wished)}`;
    const naming: Naming = {
      channelId: member.client.connection.channelId,
      chaincodeId,
      again: `strongroom fpc chaincode upgrade ${chaincodeId}${words} --connection FILE`,
      version,
      sequence,
      endorsement: formatPolicy(upgrade.endorsement),
      fileOf,
    };
    const next = upgrade.awaited.map((wait) => nextStep(wait, naming));
    const result = { chaincodeId, version, sequence: Number(sequence), endorsement: naming.endorsement };
    const named = policy === undefined ? {} : { document: fileOf(policy.document) };
    printData(options, { ...result, done, leftBehind, ...named, next }, () => asText(upgrade, naming, next));
  });
}

function nextStep(wait: UpgradeWait, naming: Naming): NextStep {
  const { channelId, chaincodeId, again, version, sequence, endorsement, fileOf } = naming;
  switch (wait.kind) {
    case "policy": {
      const { number, successor } = wait.document;
      const names = successor === undefined ? "no successor any more" : `the successor of sequence ${sequence}`;
      const file = shellQuoted(fileOf(wait.document));
      return {
        of: wait.by,
        needed: wait.needed,
        what: `sign policy ${number}, which names ${names} (each can make the document by this command); then one brings it into force`,
        commands: [
          `strongroom fpc policy sign ${file} --connection FILE > MSPID.signature`,
          `strongroom fpc policy set ${file} MSPID.signature… --connection FILE`,
          ...(successor === undefined ? [] : [again]),
        ],
      };
    }
    case "enclaves": {
      const of = [...new Set(wait.behind.map(({ mspId }) => mspId))].sort();
      const ids = wait.behind.map(({ id, mspId }) => `${id.slice(0, 16)} of ${mspId}`).join(", ");
      return {
        of,
        needed: of.length,
        what: `have their enclaves attest for sequence ${sequence}: ${ids}`,
        commands: [again],
      };
    }
    case "definition": {
      const definition = `--channelID ${channelId} --name ${chaincodeId} --version ${version} --sequence ${sequence} --signature-policy ${shellQuoted(endorsement)}`;
      return {
        of: [],
        needed: 0,
        what: "approve the definition, as many as the channel's lifecycle policy says, and one commits it: by Fabric's own command, with the flags of your network",
        commands: [
          `peer lifecycle chaincode approveformyorg ${definition} --package-id ID`,
          `peer lifecycle chaincode commit ${definition}`,
          again,
        ],
      };
    }
  }
}

function asText({ isDefined }: OwnUpgrade, naming: Naming, next: readonly NextStep[]): string {
  const { chaincodeId, sequence, endorsement } = naming;
  const target = `sequence ${sequence}, endorsed by ${endorsement}`;
  if (next.length === 0) return `${chaincodeId} is so already: ${target}`;
  return [
    `${chaincodeId} ${isDefined ? "is" : "is to be"} of ${target}; next:`,
    ...next.flatMap(({ of, needed, what, commands }) => [
      `- ${who(of, needed)} ${what}`,
      ...commands.map((command) => `    ${command}`),
    ]),
  ].join("\n");
}

function who(of: readonly string[], needed: number): string {
  if (of.length === 0) return "the channel's organisations";
  return needed < of.length ? `${needed} of ${of.join(", ")}` : of.join(", ");
}
