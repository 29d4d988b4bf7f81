import { Command } from "commander";
import type { InstanceStatus } from "../../database/instance/status.ts";
import { type OutputOptions, printData, table, withJson } from "../output.ts";
import { type InstanceOptions, withInstanceOptions } from "./instance-options.ts";

/** `strongroom db status`. */
export function statusCommand(): Command {
  return withJson(withInstanceOptions(new Command("status")))
    .description("databases, shards, sizes and keys of an instance, running or stopped")
    .addHelpText(
      "after",
      `
A running instance is asked on its socket, which its user and root can reach. A stopped one shows what its key table holds,
for which the key to its metadata is needed, or the master key.

Example:
  strongroom db status --config strongroom.toml`,
    )
    .action(runStatus);
}

async function runStatus(options: InstanceOptions & OutputOptions): Promise<void> {
  const { takeEnvironmentPincode } = await import("../../database/environment-pincode.ts");
  using fromEnvironment = await takeEnvironmentPincode();
  const [{ settingsOf }, { instancePaths }, { askInstance }, { statusRequest }] = await Promise.all([
    import("./instance-options.ts"),
    import("../../database/instance/instance-folder.ts"),
    import("../../database/instance/admin-socket.ts"),
    import("../../database/instance/status-request.ts"),
  ]);
  const settings = settingsOf(options);
  const paths = instancePaths(settings.dataFolder);
  const answer = await askInstance(paths.adminSocket, statusRequest);
  if (answer !== undefined) return printData(options, answer.value as InstanceStatus, shownStatus);
  const [{ holderOf }, { lockedStatus }, { keyFileOf }, { existsSync }] = await Promise.all([
    import("./instance-options.ts"),
    import("../../database/instance/locked-status.ts"),
    import("../../database/instance/settle-key.ts"),
    import("node:fs"),
  ]);
  const { metadataKey } = settings;
  const file = keyFileOf({ paths, metadataKey });
  // The pincode is not asked for where it is not needed.
  const needsMaster = file === undefined || !existsSync(file);
  await using holder = needsMaster ? await holderOf(settings, settings.dataFolder, fromEnvironment) : undefined;
  printData(options, await lockedStatus({ paths, metadataKey, holder }), shownStatus);
}

function shownStatus({ state, cipher, masterKey, masterKeySince, databases, served }: InstanceStatus): string {
  const lines = [`state       ${state}`, `cipher      ${cipher}`];
  if (served !== undefined) {
    const { listen, influxd, pid, encryptionUnavailable, conversion } = served;
    lines.push(`listen      http://${listen} (process ${pid})`);
    lines.push(
      `influxd     ${influxd.version} (process ${influxd.pid ?? "none"}), started again ${influxd.restarts} times`,
    );
    if (encryptionUnavailable !== undefined) lines.push(`encryption  ${encryptionUnavailable}`);
    if (conversion !== undefined) {
      const { database, encrypted, step, doneBytes, totalBytes } = conversion;
      lines.push(
        `converting  ${database} to ${encrypted ? "encrypted" : "not encrypted"}: ${step}, ${doneBytes} of ${totalBytes} bytes`,
      );
    }
  }
  lines.push(
    `master key  ${masterKey === undefined ? "none" : `${masterKey} since ${masterKeySince ?? "unknown"}`}`,
    "",
  );
  const rows = databases.map((each) => [
    each.name,
    String(each.encrypted),
    each.shards === undefined ? "?" : String(each.shards),
    each.bytes === undefined ? "?" : String(each.bytes),
    each.subKeys === undefined ? "" : String(each.subKeys),
    each.generations === undefined ? "" : generationsOf(each.generations),
    each.lastRotation ?? "",
  ]);
  const headings = ["DATABASE", "ENCRYPTED", "SHARDS", "BYTES", "SUB-KEYS", "GENERATION", "LAST ROTATION"];
  return [...lines, table(headings, rows)].join("\n");
}

function generationsOf({ lowest, highest }: { readonly lowest: number; readonly highest: number }): string {
  return lowest === highest ? String(highest) : `${lowest} to ${highest}`;
}
