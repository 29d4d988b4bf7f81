import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { openSdfDevice, type SdfDevice, type SdfDeviceOptions } from "../../../../src/devices/sdf/device.ts";
import { makeTestCard, type SdfCardVariant, type TestCard } from "../../../sdf-card/build.ts";

export const cardPin = "12345678";

/** A test card with the key indices 1 and 2 and the KEKs 1 and 2, in strict mode: it aborts its process on overlapping calls. */
export function readyCard(variant: SdfCardVariant = "gmt0018"): TestCard {
  const card = makeTestCard(cardPin, variant);
  for (const index of ["1", "2"]) {
    card.admin("generate", index);
    card.admin("kek", index);
  }
  card.setFaults("strict=1");
  return card;
}

/** Opens the card as its profile's, with the right PIN, one session, index 1; what `options` says goes before. */
export async function openCard(
  card: TestCard,
  options: Partial<SdfDeviceOptions> = {},
  pin = cardPin,
): Promise<SdfDevice> {
  using secret = SecretBuffer.take(Buffer.from(pin));
  return await openSdfDevice({
    name: "card",
    library: card.library,
    profile: "gmt0018",
    keyIndices: [1],
    pin: { secret },
    ...options,
    pool: { minSessions: 1, maxSessions: 1, reopenFirstMs: 10, ...options.pool },
  });
}
