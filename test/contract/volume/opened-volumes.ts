import type { OpenVolume, VolumeDriver } from "../../../src/volume/volume.ts";

/** A driver that remembers what it opened, so that a test which fails halfway leaves neither a mount nor a server. */
export class OpenedVolumes {
  readonly driver: VolumeDriver;
  readonly #opened: OpenVolume[] = [];

  constructor(driver: VolumeDriver) {
    this.driver = {
      ...driver,
      open: async (...args) => {
        const volume = await driver.open(...args);
        this.#opened.push(volume);
        return volume;
      },
    };
  }

  /** Closes what the test left open. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const volume of this.#opened) await volume.close({ patienceMs: 0, whenBusy: "cutOff" });
  }
}
