import { Command, Option } from "commander";
import { fieldOf, type SettingField, type SettingName, settingNames } from "../../database/setting-fields.ts";
import { tell } from "../output.ts";

type ServeOptions = Readonly<Record<string, string | readonly string[] | undefined>>;

/** `strongroom db serve`. */
export function serveCommand(): Command {
  const serve = new Command("serve")
    .description("run a database instance until it gets SIGTERM or SIGINT, making it first if it is not there")
    .option("--config <FILE>", "strongroom.toml with the settings; a flag comes before the file");
  for (const name of settingNames) serve.addOption(flagOf(fieldOf(name)));
  return serve
    .addHelpText(
      "after",
      `
The pincode comes from pincode-file or pincode-fd, else from FCTSDB_PINCODE, else from the terminal. Without the settings of
[security.encryption] databases that are not encrypted work. Clients speak InfluxDB 1.x over HTTP.

Example:
  strongroom db serve --config strongroom.toml
  strongroom db serve --data /srv/tsdb --listen 127.0.0.1:8086 --provider gm-soft --public-key "$PUBLIC_KEY" \\
    --private-key-file master.key --pincode-file pincode`,
    )
    .action(run);
}

async function run(options: ServeOptions): Promise<void> {
  // Before anything is opened: the process may put itself in its own place.
  const { takeEnvironmentPincode } = await import("../../database/environment-pincode.ts");
  using fromEnvironment = await takeEnvironmentPincode();
  const stop = stopSignal();
  const [{ holderOf }, { readDatabaseSettings }, { ServedInstance }] = await Promise.all([
    import("./instance-options.ts"),
    import("../../database/settings.ts"),
    import("../../database/instance/serve.ts"),
  ]);
  const { config } = options;
  const flags = givenFlags(options);
  const served = await ServedInstance.start({
    readSettings: () => readDatabaseSettings(typeof config === "string" ? config : undefined, flags),
    openHolder: (settings) => holderOf(settings, settings.dataFolder, fromEnvironment),
    tell,
  });
  fromEnvironment?.[Symbol.dispose]();
  process.stdout.write(`strongroom db: ready, InfluxDB ${served.influxdVersion} at http://${served.address}\n`);
  const signal = await stop;
  tell(`${signal}: closing`);
  await served.stop();
}

function givenFlags(options: ServeOptions): ReadonlyMap<SettingName, string | readonly string[]> {
  const given = new Map<SettingName, string | readonly string[]>();
  for (const name of settingNames) {
    const value = options[flagOf(fieldOf(name)).attributeName()];
    if (value !== undefined) given.set(name, value);
  }
  return given;
}

function flagOf({ flag, argument, what, kind }: SettingField): Option {
  const option = new Option(`--${flag} <${argument}>`, what);
  return kind === "texts"
    ? option.argParser((value: string, before: readonly string[] | undefined) => [...(before ?? []), value])
    : option;
}

function stopSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => resolve(signal));
  });
}
