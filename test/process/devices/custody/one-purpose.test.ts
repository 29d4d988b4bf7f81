/** A card's key pair wraps, or signs and decrypts for callers: who may have a digest signed by it could make wraps. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { initCustody, openCustody } from "../../../../src/custody/open.ts";
import type { CustodyService } from "../../../../src/custody/service.ts";
import { readStoredState } from "../../../../src/custody/stored-state.ts";
import { openNamedDevice } from "../../../../src/devices/catalogue/makers.ts";
import { readCatalogue } from "../../../../src/devices/catalogue/read.ts";
import { KeySlots } from "../../../../src/devices/key-slots.ts";
import { RootKey } from "../../../../src/devices/root-key.ts";
import { makeTestCard, sdfCardMissing, type TestCard } from "../../../sdf-card/build.ts";
import { runStrongroom, TemporaryFolder } from "../../running-server.ts";

const pin = "PIN-canary-24680";

describe("a key pair of a card", { skip: sdfCardMissing() }, () => {
  let folder: TemporaryFolder;
  let card: TestCard;
  let custody: CustodyService;
  let dataDir: string;
  let unlockFile: string;
  /** Text: a line feed at the end of a file is not part of the secret in it. */
  const unlock = SecretBuffer.take(Buffer.from(randomBytes(24).toString("base64")));
  before(async () => {
    [folder, card] = [new TemporaryFolder(), makeTestCard(pin)];
    for (const index of ["1", "2", "3", "4"]) card.admin("generate", index);
    card.admin("kek", "1");
    dataDir = join(folder.path, "km");
    unlockFile = folder.file("unlock", "");
    unlock.expose((bytes) => writeFileSync(unlockFile, bytes));
    await initCustody({ dataDir, unlock, slotKind: "key-file" });
    const entry = (name: string) =>
      `[[device]]\nname = "${name}"\nkind = "sdf"\nlibrary = "${card.library}"\nkey_indices = [1, 2, 3, 4]\nkek_indices = [1]\npin_file = "pin"\nsessions_max = 1\n`;
    const set = '[[device]]\nname = "cards"\nmembers = ["card-1", "card-2"]\n';
    writeFileSync(join(dataDir, "devices.toml"), entry("card-1") + entry("card-2") + set, { mode: 0o600 });
    writeFileSync(join(dataDir, "pin"), pin, { mode: 0o600 });
    custody = await openCustody({ dataDir, unlock });
    await custody.devices.trust(admin(), readCatalogue(join(dataDir, "devices.toml")).sha256);
  });
  after(async () => {
    await custody.close();
    for (const each of [folder, card]) each[Symbol.dispose]();
  });

  const admin = () =>
    ({ principal: custody.identity.localAdministrator, door: "local", peer: "unix:uid=0", requestId: "t" }) as const;
  const wraps = (name: string, keyIndex: number) => custody.keys.create(admin(), { device: { name, keyIndex } });
  const pair = (name: string, keyIndex: number, usage: "sign" | "encrypt" = "sign") =>
    custody.keys.create(admin(), { device: { name, keyIndex }, spec: "SM2", usage });
  const refused = { code: "INPUT_INVALID", message: /serves one purpose/ };

  it("that wraps signs and decrypts nothing else, also by the name of a set with the card in it", async () => {
    await wraps("card-1", 1);
    await wraps("card-1", 1);
    for (const name of ["card-1", "cards"])
      for (const usage of ["sign", "encrypt"] as const) await assert.rejects(pair(name, 1, usage), refused);
  });

  it("that signs wraps nothing, and may decrypt beside it", async () => {
    await pair("cards", 2);
    await pair("card-2", 2, "encrypt");
    for (const name of ["card-1", "card-2", "cards"]) await assert.rejects(wraps(name, 2), refused);
  });

  it("is not confused with a key-encryption key of the same index", async () => {
    await pair("card-2", 4);
    await custody.keys.create(admin(), { device: { name: "card-2", kekIndex: 1 } });
    assert.equal((await custody.keys.create(admin(), { device: { name: "card-2", kekIndex: 1 } })).suite, "sm");
  });

  it("that opens a key slot signs nothing", async () => {
    const slots = new KeySlots(join(dataDir, "root.slots"));
    using root = await slots.open(unlock);
    const catalogue = readCatalogue(join(dataDir, "devices.toml"));
    await using device = await openNamedDevice(catalogue, "card-1");
    const slot = await slots.addDevice(root, { name: "card-1", device }, { keyIndex: 3 }, "");
    await assert.rejects(pair("cards", 3), refused);
    slots.remove(root, slot);
    await pair("cards", 3);
  });

  it("that signs opens no key slot, also while the key manager runs", async () => {
    const before = readFileSync(join(dataDir, "root.slots"));
    const add = ["key", "slot", "add", "--data", dataDir, "--unlock-file", unlockFile, "--device", "card-1"];
    const { code, stderr } = await runStrongroom([...add, "--key-index", "2"]);
    assert.equal(code, 2, stderr);
    assert.match(stderr, /serves one purpose/);
    assert.deepEqual(readFileSync(join(dataDir, "root.slots")), before);
  });

  it("is looked up in the folder's own state: under another root key that is refused", async () => {
    using foreign = new RootKey(crypto.randomUUID(), "intl", SecretBuffer.random(32));
    await assert.rejects(readStoredState(dataDir, foreign), { code: "STATE_TAMPERED" });
  });
});
