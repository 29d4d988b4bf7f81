import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { KeptAnchor } from "../../../src/node/volume-anchor.ts";
import { counterAnchor } from "../../../src/volume/anchor.ts";
import { volumeDriver } from "../../../src/volume/drivers.ts";
import type { OpenVolume, VolumeDriver } from "../../../src/volume/volume.ts";

/** A fake open volume and driver: what is asked of them is kept. */
async function fakes(anchor: "none" | "key-manager", failure?: Error) {
  const asked: string[] = [];
  const told: string[] = [];
  const description = { kind: "sealfs", volumeId: "v", suite: "intl", parameters: { anchor } } as const;
  const volume: OpenVolume = {
    description,
    dataPath: "/nowhere",
    programKeys: [],
    lost: new Promise(() => {}),
    close: async () => {},
  };
  const driver: VolumeDriver = {
    ...(await volumeDriver("sealfs")),
    async anchor(at, dataKey) {
      asked.push(`${at.folder} ${dataKey.byteLength}`);
      if (failure !== undefined) throw failure;
    },
  };
  let released: SecretBuffer | undefined;
  const kept = new KeptAnchor({
    driver,
    place: { folder: "place" },
    volume,
    anchor: counterAnchor(async () => ({})),
    releaseDataKey: async () => {
      released = SecretBuffer.random(32);
      return released;
    },
    tell: (message) => told.push(message),
  });
  return { kept, asked, told, released: () => released };
}

describe("the anchor of a launched node's volume", () => {
  it("is advanced once the volume is locked, under a data key that is asked for anew and wiped", async () => {
    const { kept, asked, told, released } = await fakes("key-manager");
    await kept.closed();
    assert.deepEqual([asked, told], [["place 32"], []]);
    assert.equal(released()?.disposed, true);
  });

  it("is not asked for where the volume has none", async () => {
    const { kept, asked, released } = await fakes("none");
    await kept.closed();
    assert.deepEqual([asked, released()], [[], undefined]);
  });

  it("tells of a failure, and holds the end of the launch up with nothing", async () => {
    const { kept, told, released } = await fakes("key-manager", new Error("nobody answers"));
    await kept.closed();
    assert.match(told.join(), /not advanced: nobody answers/);
    assert.equal(released()?.disposed, true);
  });
});
