import { Command } from "commander";
import { sealEnvelope } from "../../devices/device-envelope.ts";
import { tell } from "../output.ts";
import { readSecretFile } from "../unlock-secret.ts";
import {
  type CatalogueOptions,
  catalogueOf,
  choiceOf,
  type KeyChoiceOptions,
  openDevice,
  withCatalogue,
  withKeyChoice,
} from "./named-device.ts";
import { mustBeNew, writeNewFile } from "./new-file.ts";

type Options = CatalogueOptions & KeyChoiceOptions & { readonly secretFile: string; readonly out: string };

/** `device envelope`: a superKey as ciphertext that only the device opens. */
export function envelopeCommand(): Command {
  return withKeyChoice(
    withCatalogue(
      new Command("envelope")
        .description(
          "seal a FISCO superKey under a key of a device, for --super-key-device and --fisco-super-key-device",
        )
        .argument("<name>", "the device"),
    ),
  )
    .requiredOption("--secret-file <file>", "file with the superKey (mode 0600 or 0400); remove it afterwards")
    .requiredOption("--out <file>", "the envelope; a file that is there is not replaced")
    .action(run);
}

async function run(name: string, options: Options): Promise<void> {
  mustBeNew(options.out);
  using secret = readSecretFile(options.secretFile);
  await using opened = await openDevice(await catalogueOf(options), name);
  const envelope = await sealEnvelope(opened, "super-key", secret, choiceOf(options));
  writeNewFile(options.out, envelope, 0o600);
  tell(`the envelope is in ${options.out}; only device ${name} opens it`);
}
