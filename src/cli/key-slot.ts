import { join } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import type { KeySlots, SlotKind } from "../devices/key-slots.ts";
import type { RootKey } from "../devices/root-key.ts";
import { type OutputOptions, printData, table, tell, withJson } from "./output.ts";
import { readSecretFile, readUnlockSecret, type UnlockOptions, withUnlock } from "./unlock-secret.ts";

type Options = UnlockOptions & OutputOptions & { readonly data: string };
type NewSecret = { readonly newFile: string; readonly kind: SlotKind };

/**
 * `key slot`: the secrets that open the root key. Works on the slot file itself, also while the server runs: the file is
 * replaced in one step, one command at a time, and a running server has no more need of it.
 */
export function slotCommand(): Command {
  const slot = new Command("slot").description("unlock secrets that open the root key");
  slot.addCommand(
    withJson(
      new Command("list").description("list the key slots").requiredOption("--data <dir>", "data folder"),
    ).action(async (options: Options) =>
      printData(options, (await slotsOf(options)).list(), (slots) =>
        table(
          ["SLOT", "KIND", "LABEL", "MADE"],
          slots.map((each) => [String(each.slot), each.kind, each.label, each.createdAt]),
        ),
      ),
    ),
  );
  slot.addCommand(
    changing("add", "add an unlock secret beside those there are")
      .option("--label <text>", "for people", "")
      .action((options: Options & NewSecret & { label: string }) =>
        withRoot(options, async (slots, root) => {
          using secret = readSecretFile(options.newFile);
          tell(`key slot ${await slots.add(root, options.kind, secret, options.label)} added`);
        }),
      ),
  );
  slot.addCommand(
    changing("change", "replace the unlock secret of a slot")
      .argument("<slot>", "slot number", slotNumber)
      .action((number: number, options: Options & NewSecret) =>
        withRoot(options, async (slots, root) => {
          using secret = readSecretFile(options.newFile);
          await slots.change(root, number, options.kind, secret);
          tell(`key slot ${number} changed: its old secret no longer opens anything`);
        }),
      ),
  );
  slot.addCommand(
    opening("remove", "remove a slot (never the last one)")
      .argument("<slot>", "slot number", slotNumber)
      .action((number: number, options: Options) =>
        withRoot(options, async (slots, root) => {
          slots.remove(root, number);
          tell(`key slot ${number} removed`);
        }),
      ),
  );
  return slot;
}

function opening(name: string, purpose: string): Command {
  return withUnlock(new Command(name).description(purpose).requiredOption("--data <dir>", "data folder"));
}

function changing(name: string, purpose: string): Command {
  return opening(name, purpose)
    .requiredOption("--new-file <file>", "file with the new unlock secret (mode 0600 or 0400)")
    .addOption(
      new Option("--kind <kind>", "kind of the slot").choices(["passphrase", "key-file"]).default("passphrase"),
    );
}

async function slotsOf(options: Options): Promise<KeySlots> {
  const [{ KeySlots }, { dataFiles }] = await Promise.all([
    import("../devices/key-slots.ts"),
    import("../custody/data-files.ts"),
  ]);
  return new KeySlots(join(options.data, dataFiles.slots));
}

async function withRoot(options: Options, use: (slots: KeySlots, root: RootKey) => Promise<void>): Promise<void> {
  const slots = await slotsOf(options);
  using unlock = await readUnlockSecret(options);
  using root = await slots.open(unlock);
  await use(slots, root);
}

function slotNumber(text: string): number {
  if (!/^\d{1,6}$/.test(text)) throw new InvalidArgumentError("a slot number");
  return Number(text);
}
