import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import { hkdf, suites } from "../crypto/suite.ts";
import type { VolumeDescription } from "./volume.ts";

const minDataKeyBytes = 16;
const maxDataKeyBytes = 64;

/**
 * A sub-key of a volume's data key:
 *
 *     HKDF(suite hash, secret = data key, salt = the volume id's 16 bytes, info = "strongroom/volume/v1/" ‖ kind ‖ "/" ‖ purpose)
 *
 * The data key itself is given to no tool and no program. The caller disposes of the result.
 *
 * @throws {RangeError} When the data key is not 16 to 64 bytes.
 */
export function deriveVolumeKey(
  volume: Pick<VolumeDescription, "kind" | "volumeId" | "suite">,
  dataKey: SecretBuffer,
  purpose: string,
  bytes: number,
): SecretBuffer {
  if (dataKey.byteLength < minDataKeyBytes || dataKey.byteLength > maxDataKeyBytes)
    throw new RangeError(
      `a volume's data key has ${minDataKeyBytes} to ${maxDataKeyBytes} bytes, got ${dataKey.byteLength}`,
    );
  const salt = Buffer.from(volume.volumeId.replaceAll("-", ""), "hex");
  const info = Buffer.from(`strongroom/volume/v1/${volume.kind}/${purpose}`);
  return hkdf(suites[volume.suite], dataKey, salt, info, bytes);
}
