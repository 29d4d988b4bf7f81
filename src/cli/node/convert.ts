import { convertToPlain, convertToVolume } from "../../node/convert.ts";
import { type OutputOptions, printData, tell } from "../output.ts";
import { withDataKey } from "./seal.ts";

interface ConvertOptions extends OutputOptions {
  readonly seal?: readonly string[];
  readonly encryptKeyNames?: boolean;
  readonly toPlain?: boolean;
}

export async function runConvert(node: string, folder: string, options: ConvertOptions): Promise<void> {
  const { seal = [], encryptKeyNames = false, toPlain = false } = options;
  const outcome = await withDataKey(
    node,
    (loaded, dataKey) =>
      toPlain
        ? convertToPlain(loaded, dataKey, folder, { encryptKeyNames, tell })
        : convertToVolume(loaded, dataKey, folder, { seal, encryptKeyNames, tell }),
    { make: !toPlain },
  );
  printData(options, outcome, ({ digest, volumeFolder }) =>
    [
      toPlain
        ? `${folder} holds the data in plain; the volume is gone`
        : `the data is in ${volumeFolder}; ${folder} is gone`,
      `compared by SHA-256: ${digest}`,
      toPlain
        ? "the manifest still names the volume: take [volume] out, or convert again"
        : "next: let command.argv use {data}, then strongroom node launch",
    ].join("\n"),
  );
}
