import { randomBytes, randomUUID } from "node:crypto";
import { Command, InvalidArgumentError, Option } from "commander";
import { isKeyPairSpec, keySpecs, signingAlgorithms } from "../../crypto/key-specs.ts";
import type { CryptoDevice, SpecifiedDeviceKey } from "../../devices/device.ts";
import { CommandFailure, exitCodes } from "../failure.ts";
import { type OutputOptions, printData, table, withJson } from "../output.ts";
import {
  type CatalogueOptions,
  catalogueOf,
  choiceOf,
  type KeyChoiceOptions,
  openDevice,
  withCatalogue,
  withKeyPairChoice,
} from "./named-device.ts";
import { mustBeListed, subjectOf } from "./test.ts";

type Options = CatalogueOptions & OutputOptions & KeyChoiceOptions & { readonly seconds: number };

interface Speed {
  /** Calls at once. */
  readonly callers: number;
  readonly signaturesPerSecond: number;
}

/** `device bench`: signatures a second at 1 to as many callers as there are sessions. */
export function benchCommand(): Command {
  return withJson(
    withKeyPairChoice(
      withCatalogue(
        new Command("bench")
          .description("signatures a second, from one caller up to one for each session")
          .argument("<name>"),
      ),
    ),
  )
    .addOption(new Option("--seconds <n>", "how long each step takes").argParser(seconds).default(2))
    .action(run);
}

async function run(name: string, options: Options): Promise<void> {
  const catalogue = await catalogueOf(options);
  const choice = choiceOf(options);
  mustBeListed(catalogue, name, choice);
  await using opened = await openDevice(catalogue, name);
  const { device } = opened;
  const { sessions, signingKeys } = subjectOf(catalogue, name, device, choice);
  const [spec] = device.capabilities().specs.filter(isKeyPairSpec);
  if (spec === undefined) throw new CommandFailure(exitCodes.usage, `device ${name} does not sign`);
  const named = { keyId: randomUUID(), version: 1, suite: keySpecs[spec].suite, spec, usage: "sign" } as const;
  const { material } = await device.createSpecifiedKey(named, signingKeys[0]);
  const key = { ...named, material };
  try {
    const speeds: Speed[] = [];
    for (let callers = 1; callers <= sessions; callers++)
      speeds.push({ callers, signaturesPerSecond: await speedOf(device, key, callers, options.seconds) });
    printData(options, { device: name, spec, speeds }, () =>
      table(
        ["CALLERS", `${spec} SIGNATURES A SECOND`],
        speeds.map((each) => [String(each.callers), String(each.signaturesPerSecond)]),
      ),
    );
  } finally {
    await device.destroyKey(key);
  }
}

async function speedOf(
  device: CryptoDevice,
  key: SpecifiedDeviceKey,
  callers: number,
  forSeconds: number,
): Promise<number> {
  const [algorithm] = keySpecs[key.spec].signing;
  if (algorithm === undefined) throw new TypeError(`${key.spec} signs nothing`);
  const digest = randomBytes(signingAlgorithms[algorithm].digestBytes);
  const beganMs = performance.now();
  const endsMs = beganMs + forSeconds * 1000;
  let made = 0;
  const caller = async () => {
    while (performance.now() < endsMs) {
      await device.signDigest(key, algorithm, digest);
      made += 1;
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
  return Math.round((made * 1000) / (performance.now() - beganMs));
}

function seconds(text: string): number {
  const value = /^\d{1,3}$/.test(text) ? Number(text) : 0;
  if (value < 1 || value > 600) throw new InvalidArgumentError("1 to 600 seconds");
  return value;
}
