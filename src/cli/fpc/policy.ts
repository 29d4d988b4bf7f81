import { Command } from "commander";
import { type OutputOptions, printData, printText, withJson } from "../output.ts";
import { readDocument } from "./document-file.ts";
import { asMember, type MemberOptions, withMember } from "./member-session.ts";

export function policyCommand(): Command {
  const policy = new Command("policy").description(
    "the policy document, by which the organisations govern the chaincode",
  );
  policy.addCommand(
    withMember(new Command("show"))
      .description("the policy in force, as JSON")
      .option("--next", "the one that may follow: its number and the hash of this one, and else the same")
      .action(show),
  );
  policy.addCommand(
    withMember(new Command("sign").argument("<document>", "a file of JSON, as `show` prints it"))
      .description("sign a document with the organisation's policy key; the signature is JSON, for `set`")
      .action(sign),
  );
  policy.addCommand(
    withJson(withMember(new Command("set")))
      .argument("<document>", "the file that was signed")
      .argument("<signatures...>", "files, each what `sign` printed")
      .description(
        "bring a document into force that all organisations (the first) or the threshold of the one before have signed",
      )
      .action(set),
  );
  return policy;
}

async function show(options: MemberOptions & { next?: boolean }): Promise<void> {
  await asMember(options, async ({ member: { client } }) => {
    const { writePolicyDocument } = await import("../../enclave/operator/policy-document.ts");
    const { nextPolicy } = await import("../../enclave/operator/policies.ts");
    const policy = await client.policy();
    printText(writePolicyDocument(options.next ? nextPolicy(policy, policy) : policy));
  });
}

async function sign(document: string, options: MemberOptions): Promise<void> {
  await asMember(options, async ({ member }) => {
    const { readPolicyDocument } = await import("../../enclave/operator/policy-document.ts");
    const { signDocument } = await import("../../enclave/operator/policy-signatures.ts");
    printText(JSON.stringify(signDocument(member, readDocument(document, readPolicyDocument))));
  });
}

async function set(document: string, signatures: string[], options: MemberOptions & OutputOptions): Promise<void> {
  await asMember(options, async ({ member: { client } }) => {
    const { readPolicyDocument } = await import("../../enclave/operator/policy-document.ts");
    const { readSignature, setPolicy } = await import("../../enclave/operator/policy-signatures.ts");
    const policy = readDocument(document, readPolicyDocument);
    const signed = signatures.map((path) => readDocument(path, (text) => readSignature(text, policy)));
    await setPolicy(client, policy, signed);
    const number = Number(policy.number);
    printData(options, { number, signedBy: signed.map(({ mspId }) => mspId) }, () => `policy ${number} is in force`);
  });
}
