import { resolve } from "node:path";
import { Command } from "commander";
import type { RotationRequest } from "../../database/holder/rotation-command.ts";
import { CommandFailure, exitCodes } from "../failure.ts";
import { type OutputOptions, printData, withJson } from "../output.ts";
import { type InstanceOptions, withInstanceOptions } from "./instance-options.ts";

interface RotateMasterOptions extends InstanceOptions, OutputOptions {
  readonly newPublicKey?: string;
  readonly newPrivateKeyFile?: string;
  readonly newPincodeFile?: string;
  readonly newDevice?: string;
  readonly newMasterKey?: string;
  readonly updateConfig?: boolean;
}

/** `strongroom db rotate-master`. */
export function rotateMasterCommand(): Command {
  return withJson(withInstanceOptions(new Command("rotate-master")))
    .description("change the master key of a running instance, while it serves")
    .option("--new-public-key <HEX>", "gm-soft, gm-rk: the new public key, 130 hex digits")
    .option("--new-private-key-file <FILE>", "gm-soft: the new private key, as fctools gm genkeypair prints it")
    .option(
      "--new-pincode-file <FILE>",
      "gm-soft, gm-rk: its pincode, in a file that the instance reads (mode 0600 or 0400)",
    )
    .option("--new-device <NAME>", "gm-rk: the card, where it is another")
    .option("--new-master-key <KEY>", "key-manager: the key that is to wrap the new master key, where it is another")
    .option("--update-config", "set the new public-key, path and pincode-file in the file of --config")
    .addHelpText(
      "after",
      `
No data is written anew. A change that was interrupted is completed by the same command; at every moment the instance is under
one of the two keys, whole. A stopped instance: fctools envelop.

Example:
  fctools gm genkeypair --format v2 --pincode-file new-pincode --json > pair.json
  jq -r .privateKey pair.json > new-master.key
  strongroom db rotate-master --config strongroom.toml --new-public-key "$(jq -r .publicKey pair.json)" \\
    --new-private-key-file new-master.key --new-pincode-file new-pincode --update-config`,
    )
    .action(runRotateMaster);
}

async function runRotateMaster(options: RotateMasterOptions): Promise<void> {
  const [{ settingsOf }, { instancePaths }, { askInstance }, { rotateMasterRequest }] = await Promise.all([
    import("./instance-options.ts"),
    import("../../database/instance/instance-folder.ts"),
    import("../../database/instance/admin-socket.ts"),
    import("../../database/holder/rotation-command.ts"),
  ]);
  if (options.updateConfig === true && options.config === undefined)
    throw new CommandFailure(exitCodes.usage, "--update-config changes the file of --config: give one");
  const { dataFolder } = settingsOf(options);
  const answer = await askInstance(instancePaths(dataFolder).adminSocket, rotateMasterRequest, requestOf(options));
  if (answer === undefined)
    throw new CommandFailure(
      exitCodes.other,
      `no running instance answers in ${dataFolder}`,
      "start it with strongroom db serve, or change the master key of the stopped instance with fctools envelop",
    );
  const report = answer.value as { readonly total: number; readonly publicKey: string };
  printData(options, report, ({ total, publicKey }) =>
    [
      `${total} sub-keys are in envelopes to the new master key ${publicKey}`,
      ...(options.updateConfig === true || options.newPublicKey === undefined
        ? []
        : ["Set public-key, path and pincode-file of [security.encryption] before the next start"]),
    ].join("\n"),
  );
}

/** The running instance has another current folder. */
function requestOf(options: RotateMasterOptions): RotationRequest {
  const { newPublicKey, newPrivateKeyFile, newPincodeFile, newDevice, newMasterKey, updateConfig, config } = options;
  return {
    ...(newPublicKey === undefined ? {} : { publicKey: newPublicKey }),
    ...(newPrivateKeyFile === undefined ? {} : { privateKeyFile: resolve(newPrivateKeyFile) }),
    ...(newPincodeFile === undefined ? {} : { pincodeFile: resolve(newPincodeFile) }),
    ...(newDevice === undefined ? {} : { device: newDevice }),
    ...(newMasterKey === undefined ? {} : { masterKey: newMasterKey }),
    ...(updateConfig === true && config !== undefined ? { updateConfig: resolve(config) } : {}),
  };
}
