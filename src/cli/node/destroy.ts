import { destroyNode } from "../../node/destroy.ts";
import { DestructionJournal } from "../../node/destruction-journal.ts";
import { NodeError } from "../../node/errors.ts";
import { loadManifest } from "../../node/manifest-reader.ts";
import { type OutputOptions, printData, tell } from "../output.ts";

interface DestroyOptions extends OutputOptions {
  readonly yes?: true;
  readonly withoutRecord?: true;
}

const records = {
  told: "on record at the key manager, which has revoked it",
  refused: "the key manager had revoked it before",
  "left out": "the key manager was not told",
  no: "not on record",
} as const;

export async function runDestroy(node: string, options: DestroyOptions): Promise<void> {
  if (options.yes !== true) refuseUnconfirmed(node);
  const done = await destroyNode(node, { tell, withoutRecord: options.withoutRecord === true });
  const { node: name, network, keys, record } = done;
  printData(options, { name, network, keys, record }, () =>
    [
      `${name} of ${network} is destroyed (${records[record]})`,
      ...keys.map((key) => `  ${key.name} (${key.format}): ${key.publicIdentity}`),
    ].join("\n"),
  );
}

function refuseUnconfirmed(where: string): never {
  if (new DestructionJournal(where).read() !== undefined)
    throw new NodeError("INPUT_INVALID", "a destruction is under way here; finish it with --yes");
  const { node, sealedFiles } = loadManifest(where).manifest;
  const keys = sealedFiles.map((entry) => `${entry.name} ${entry.publicIdentity}`).join(", ");
  throw new NodeError("INPUT_INVALID", `this destroys ${node.name} for good, with its keys: ${keys || "none sealed"}`, {
    hint: "say --yes",
  });
}
