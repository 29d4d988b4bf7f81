import { Command } from "commander";
import type { Catalogue } from "../../devices/catalogue/read.ts";
import { entryOf, membersOf } from "../../devices/catalogue/read.ts";
import type { ConformanceSubject } from "../../devices/conformance/subject.ts";
import type { CryptoDevice, DeviceKeyChoice } from "../../devices/device.ts";
import { CommandFailure, exitCodes } from "../failure.ts";
import { type OutputOptions, printData, tell, withJson } from "../output.ts";
import {
  type CatalogueOptions,
  catalogueOf,
  choiceOf,
  type KeyChoiceOptions,
  openDevice,
  withCatalogue,
  withKeyChoice,
} from "./named-device.ts";

type Options = CatalogueOptions & OutputOptions & KeyChoiceOptions;

/** `device test`: proves a card or token, with a report for its vendor. */
export function testCommand(): Command {
  return withJson(
    withKeyChoice(
      withCatalogue(
        new Command("test")
          .description("prove a device, and print a report to hand to its vendor (exit code 5 when a check failed)")
          .argument("<name>", "the device"),
      ),
    ),
  )
    .addHelpText(
      "after",
      `
Without a key, those of the entry's key_indices and kek_indices are used (cards), or keys are made and destroyed again (tokens).
No wrong PIN is sent, and no key that was there is changed.`,
    )
    .action(run);
}

async function run(name: string, options: Options): Promise<void> {
  const catalogue = await catalogueOf(options);
  const [{ runConformance }, { reportText }] = await Promise.all([
    import("../../devices/conformance/run.ts"),
    import("../../devices/conformance/report.ts"),
  ]);
  const choice = choiceOf(options);
  mustBeListed(catalogue, name, choice);
  await using opened = await openDevice(catalogue, name);
  const report = await runConformance(subjectOf(catalogue, name, opened.device, choice), ({ id, outcome }) =>
    tell(`${id}: ${outcome}`),
  );
  printData(options, report, reportText);
  if (report.failed > 0) process.exitCode = exitCodes.integrity;
}

/**
 * Of a card only the keys that its entry lists are in reach.
 *
 * @throws {CommandFailure} 2 for an index that is not listed.
 */
export function mustBeListed(catalogue: Catalogue, name: string, choice: DeviceKeyChoice | undefined): void {
  const [member] = membersOf(catalogue, name);
  if (member?.kind !== "sdf" || choice === undefined) return;
  for (const [wanted, listed, entry] of [
    [choice.keyIndex, member.key_indices, "key_indices"],
    [choice.kekIndex, member.kek_indices, "kek_indices"],
  ] as const)
    if (wanted !== undefined && !listed.includes(wanted))
      throw new CommandFailure(
        exitCodes.usage,
        `${entry} of device ${member.name} does not name index ${wanted}`,
        listed.length === 0 ? `add it to ${catalogue.file}` : `it names ${listed.join(", ")}`,
      );
}

/** The device with the keys that may be used: the one that was named, or the card's own of its entry. */
export function subjectOf(
  catalogue: Catalogue,
  name: string,
  device: CryptoDevice,
  choice: DeviceKeyChoice | undefined,
): ConformanceSubject {
  const [member] = membersOf(catalogue, name);
  const pairs = member?.kind === "sdf" ? member.key_indices.map((keyIndex) => ({ keyIndex })) : [];
  const keks = member?.kind === "sdf" ? member.kek_indices.map((kekIndex) => ({ kekIndex })) : [];
  const sessions = member === undefined || member.kind === "aws-kms" ? 4 : member.sessions_max;
  const info = "info" in device ? (device.info as ConformanceSubject["info"]) : {};
  return {
    name,
    kind: entryOf(catalogue, name).kind,
    info,
    device,
    sessions,
    wrappingKeys: choice === undefined ? [...pairs, ...keks] : [choice],
    signingKeys: choice === undefined || choice.kekIndex !== undefined ? pairs : [choice],
    absentKey: member?.kind === "sdf" ? { keyIndex: 65_535 } : { keyId: `absent-${crypto.randomUUID()}` },
  };
}
