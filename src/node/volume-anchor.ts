import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import { anchoredAtKeyManager, counterAnchor, type VolumeAnchor } from "../volume/anchor.ts";
import type { OpenVolume, VolumeDriver, VolumePlace } from "../volume/volume.ts";
import { connectKeyManager, type KeyManager } from "./key-manager.ts";
import type { LoadedManifest } from "./manifest-reader.ts";

const everyMs = 10 * 60 * 1000;

/** The anchor of a node's volume. The key manager is asked only for a volume that has one. */
export function nodeAnchor(loaded: LoadedManifest): VolumeAnchor & Disposable {
  let client: KeyManager | undefined;
  const anchor = counterAnchor(async () => {
    client = await connectKeyManager(loaded);
    return client;
  });
  return { ...anchor, [Symbol.dispose]: () => client?.close() };
}

/** What is needed to keep an open volume's anchor. */
export interface KeptVolume {
  readonly driver: VolumeDriver;
  readonly place: VolumePlace;
  readonly volume: OpenVolume;
  readonly anchor: VolumeAnchor;
  /** The node's data key, asked for again once the volume is locked. */
  readonly releaseDataKey: () => Promise<SecretBuffer>;
  readonly tell: (message: string) => void;
}

/**
 * Keeps the anchor of a volume as long as it is open: advanced every ten minutes by what its server says, and by {@link closed} once it is
 * locked. A failure is told and stops nothing: the next opening compares with what was kept last.
 */
export class KeptAnchor {
  readonly #kept: KeptVolume;
  readonly #timer: NodeJS.Timeout | undefined;

  constructor(kept: KeptVolume) {
    this.#kept = kept;
    if (!isAnchored(kept.volume)) return;
    this.#timer = setInterval(() => void this.#trying(() => this.#fromServer()), everyMs);
    this.#timer.unref();
  }

  /** To be called once the volume is locked. */
  async closed(): Promise<void> {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    const { driver, place, anchor, releaseDataKey } = this.#kept;
    await this.#trying(async () => {
      using dataKey = await releaseDataKey();
      await driver.anchor(place, dataKey, anchor);
    });
  }

  async #fromServer(): Promise<void> {
    const { place, volume, anchor } = this.#kept;
    const { connectSealfsControl } = await import("../volume/sealfs/control/client.ts");
    await using control = await connectSealfsControl(place);
    const { sequence, link } = await control.keys();
    await anchor.advance(volume.description.volumeId, { sequence, link: Buffer.from(link, "hex") });
  }

  async #trying(advance: () => Promise<void>): Promise<void> {
    try {
      await advance();
    } catch (error) {
      this.#kept.tell(`warning: the volume's anchor at the key manager was not advanced: ${(error as Error).message}`);
    }
  }
}

/** True for a volume whose header asks for an anchor. */
export function isAnchored({ description }: Pick<OpenVolume, "description">): boolean {
  return description.parameters.anchor === anchoredAtKeyManager;
}
