/** A card locks itself after a few wrong PINs: a set that is opened again and again must not send one twice. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { openNamedDevice } from "../../../../src/devices/catalogue/makers.ts";
import type { TellOfDevice } from "../../../../src/devices/catalogue/native.ts";
import { type Catalogue, readCatalogue } from "../../../../src/devices/catalogue/read.ts";
import { makeTestCard, sdfCardMissing, type TestCard } from "../../../sdf-card/build.ts";
import { TemporaryFolder } from "../../running-server.ts";

const pin = "PIN-canary-13579";

/** Two cards as one set; the PIN file of the second holds a wrong one. */
class Cards implements Disposable {
  readonly folder = new TemporaryFolder();
  readonly first: TestCard = makeTestCard(pin);
  readonly second: TestCard = makeTestCard(pin);
  readonly catalogue: Catalogue;
  /** How often a process was started for each device. */
  readonly started = new Map<string, number>();

  constructor() {
    for (const card of [this.first, this.second]) card.admin("generate", "1");
    const entry = (name: string, { library }: TestCard) => `[[device]]
name = "${name}"
kind = "sdf"
library = "${library}"
key_indices = [1]
pin_file = "${name}.pin"
sessions_max = 1
`;
    const set = '[[device]]\nname = "both"\nmembers = ["first", "second"]\n';
    const file = join(this.folder.path, "devices.toml");
    writeFileSync(file, entry("first", this.first) + entry("second", this.second) + set, { mode: 0o600 });
    writeFileSync(join(this.folder.path, "first.pin"), pin, { mode: 0o600 });
    writeFileSync(join(this.folder.path, "second.pin"), "another", { mode: 0o600 });
    this.catalogue = readCatalogue(file);
  }

  readonly tell: TellOfDevice = (device, { event }) => {
    if (event === "process-started") this.started.set(device, (this.started.get(device) ?? 0) + 1);
  };

  open(name: string) {
    return openNamedDevice(this.catalogue, name, this.tell);
  }

  [Symbol.dispose](): void {
    for (const each of [this.first, this.second, this.folder]) each[Symbol.dispose]();
  }
}

describe("a set with a card that refuses its PIN", { skip: sdfCardMissing() }, () => {
  it("that cannot be opened for another reason sends that PIN once, and not by another name either", async () => {
    using cards = new Cards();
    cards.first.setFaults("unplugged=1");
    for (let times = 0; times < 3; times += 1) await assert.rejects(cards.open("both"), { name: "DeviceError" });
    await assert.rejects(cards.open("second"), { code: "DEVICE_PIN_REFUSED" });
    assert.equal(cards.started.get("first"), 3);
    assert.equal(cards.started.get("second"), 1);
  });

  it("that is used by its other card does not send it when the set is opened anew", async () => {
    using cards = new Cards();
    for (let times = 0; times < 2; times += 1) {
      await using device = await cards.open("both");
      assert.notEqual((await device.health()).state, "down");
    }
    assert.equal(cards.started.get("first"), 2);
    assert.equal(cards.started.get("second"), 1);
  });

  it("is opened with its PIN again by a list of devices that was read anew", async () => {
    using cards = new Cards();
    await assert.rejects(cards.open("second"), { code: "DEVICE_PIN_REFUSED" });
    writeFileSync(join(cards.folder.path, "second.pin"), pin, { mode: 0o600 });
    await assert.rejects(cards.open("second"), { code: "DEVICE_PIN_REFUSED" });
    await using device = await openNamedDevice(readCatalogue(cards.catalogue.file), "second");
    assert.equal((await device.health()).state, "ready");
  });
});
