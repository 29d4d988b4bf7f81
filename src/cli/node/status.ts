import { releaseDataKey } from "../../node/data-key.ts";
import { connectKeyManager } from "../../node/key-manager.ts";
import { loadManifest } from "../../node/manifest-reader.ts";
import { type NodeStatus, nodeStatus } from "../../node/status.ts";
import { exitCodeOf } from "../failure.ts";
import { type OutputOptions, printData, table, tell } from "../output.ts";

export async function runStatus(node: string, options: OutputOptions & { ask?: true }): Promise<void> {
  const loaded = loadManifest(node);
  const status = await nodeStatus(loaded);
  printData(options, status, render);
  if (options.ask !== true) return;
  const keyManager = await connectKeyManager(loaded);
  try {
    (await releaseDataKey(loaded, keyManager))[Symbol.dispose]();
    tell("the key manager releases the data key");
  } catch (error) {
    tell(`the key manager does not release the data key: ${(error as Error).message}`);
    process.exitCode = exitCodeOf(error);
  } finally {
    keyManager.close();
  }
}

function render(status: NodeStatus): string {
  const { identity, kms, volume, uid } = status;
  const head = [
    `node ${status.name} (${status.kind}) of ${status.network}${uid === null ? "" : `, user ${uid}`}`,
    `protection ${status.protection}: ${status.protectionMeaning}`,
  ];
  if (status.protection === "none") return head.join("\n");
  return [
    ...head,
    ...(kms === null
      ? [
          `identity ${identity.kind}: ${identity.meaning}`,
          `  ${identity.enrolled ? `enrolled, certificate until ${identity.notAfter}` : `not enrolled (${identity.folder})`}`,
        ]
      : [
          `KMS: integration ${kms.integration} of ${kms.store}`,
          `  ${kms.detail}`,
          "  a stolen disk that holds the unlock file opens this node while the access key may use the master key",
        ]),
    `data key: ${status.dataKey.made ? `version ${status.dataKey.version}, suite ${status.dataKey.suite}` : "none yet"}`,
    `lease: ${status.lease}`,
    `volume: ${volume === null ? "none" : `${volume.kind}, ${volume.state} (${volume.detail})`}`,
    "",
    table(
      ["SEALED FILE", "FORMAT", "VERSION", "HANDOVER", "STATE", "PUBLIC IDENTITY"],
      status.sealedFiles.map((file) => [
        file.name,
        file.format,
        String(file.version),
        file.handover,
        file.state,
        file.publicIdentity,
      ]),
    ),
  ].join("\n");
}
