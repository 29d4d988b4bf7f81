import { join } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import type { KeySlots, SlotKind } from "../devices/key-slots.ts";
import type { RootKey } from "../devices/root-key.ts";
import { catalogueOf, choiceOf, type KeyChoiceOptions, openDevice, withKeyChoice } from "./device/named-device.ts";
import { CommandFailure, exitCodes } from "./failure.ts";
import { type OutputOptions, printData, table, tell, withJson } from "./output.ts";
import { type DataUnlockOptions, readUnlock, withDataUnlock } from "./unlock-device.ts";
import { readSecretFile } from "./unlock-secret.ts";

type Options = DataUnlockOptions & OutputOptions & { readonly data: string };
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
    withKeyChoice(opening("add", "add an unlock secret, or a device that opens the root key, beside those there are"))
      .option("--new-file <file>", "file with the new unlock secret (mode 0600 or 0400)")
      .addOption(kindOption())
      .option("--device <name>", "in place of a secret: a device of the folder's devices.toml")
      .option("--label <text>", "for people", "")
      .action(runAdd),
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
  return withDataUnlock(new Command(name).description(purpose).requiredOption("--data <dir>", "data folder"));
}

function changing(name: string, purpose: string): Command {
  return opening(name, purpose)
    .requiredOption("--new-file <file>", "file with the new unlock secret (mode 0600 or 0400)")
    .addOption(kindOption());
}

function kindOption(): Option {
  return new Option("--kind <kind>", "kind of the slot").choices(["passphrase", "key-file"]).default("passphrase");
}

interface AddOptions extends Options, KeyChoiceOptions {
  readonly newFile?: string;
  readonly kind: SlotKind;
  readonly device?: string;
  readonly label: string;
}

async function runAdd(options: AddOptions): Promise<void> {
  const { data, newFile, device, label } = options;
  const choice = choiceOf(options);
  if (newFile !== undefined && device === undefined && choice === undefined)
    return await withRoot(options, async (slots, root) => {
      using secret = readSecretFile(newFile);
      tell(`key slot ${await slots.add(root, options.kind, secret, label)} added`);
    });
  if (device === undefined || newFile !== undefined)
    throw new CommandFailure(exitCodes.usage, "a key slot takes --new-file FILE, or --device NAME and its key");
  await withRoot(options, async (slots, root) => {
    await using named = await openDevice(await catalogueOf({ data }), device);
    if (choice?.keyIndex !== undefined) await mustBeFreeForSlot(data, root, device, choice.keyIndex);
    tell(
      `key slot ${await slots.addDevice(root, named, choice, label)} added: serve --unlock-device ${device} opens it`,
    );
    tell("that works while devices.toml is the one that was trusted: after a change, strongroom device trust");
  });
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
  using root = await openRoot(slots, options);
  await use(slots, root);
}

/** A root key that a device has opened is this folder's only if the folder's store says so, and trusts the list of devices. */
async function openRoot(slots: KeySlots, options: Options): Promise<RootKey> {
  await using held = await readUnlock(options.data, options);
  const root = await slots.open(held.unlock);
  try {
    if ("device" in held.unlock) {
      const [{ mustBeTrusted }, { readStoredState }] = await Promise.all([
        import("../custody/open.ts"),
        import("../custody/stored-state.ts"),
      ]);
      mustBeTrusted(held.unlock, await readStoredState(options.data, root));
    }
    return root;
  } catch (error) {
    root[Symbol.dispose]();
    throw error;
  }
}

/** A card's key pair that callers sign or decrypt with is none for a key slot. */
async function mustBeFreeForSlot(data: string, root: RootKey, device: string, keyIndex: number): Promise<void> {
  const [{ mustServeOnePurpose, pairUsesOfKeys }, { readStoredState }, { membersOf }] = await Promise.all([
    import("../custody/pair-purpose.ts"),
    import("../custody/stored-state.ts"),
    import("../devices/catalogue/read.ts"),
  ]);
  const catalogue = await catalogueOf({ data });
  const keys = [...(await readStoredState(data, root)).all("key")].map(([, key]) => key);
  mustServeOnePurpose({ device, keyIndex, purpose: "wraps" }, pairUsesOfKeys(keys), (name) =>
    catalogue.entries.has(name) ? membersOf(catalogue, name).map((member) => member.name) : [name],
  );
}

function slotNumber(text: string): number {
  if (!/^\d{1,6}$/.test(text)) throw new InvalidArgumentError("a slot number");
  return Number(text);
}
