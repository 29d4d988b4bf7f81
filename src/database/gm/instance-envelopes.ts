import { existsSync, renameSync, rmSync } from "node:fs";
import { syncFolder } from "../../files/durable-file.ts";
import type { InstancePaths } from "../instance/instance-folder.ts";
import { type InstanceEnvelope, readInstanceEnvelope, writeInstanceEnvelope } from "../instance/instance-key.ts";

/**
 * The envelopes of an instance key: one to the master key in force, and during a change of the master key one to the next, in
 * `instance.envelope.next`. Which of them counts is said by the volume's key table, so that the change of both is one step.
 */
export class InstanceEnvelopes {
  readonly #paths: InstancePaths;

  constructor(paths: InstancePaths) {
    this.#paths = paths;
  }

  /** The one to this master key, whichever file it is in. @throws {DatabaseError} `INSTANCE_DAMAGED`. */
  to(publicKey: Buffer): InstanceEnvelope | undefined {
    const { envelopeFile, nextEnvelopeFile } = this.#paths;
    return [envelopeFile, nextEnvelopeFile]
      .map(readInstanceEnvelope)
      .find((found) => found?.masterKey === publicKey.toString("hex"));
  }

  /** Keeps one to the next master key, durably. */
  stage(envelope: InstanceEnvelope): void {
    writeInstanceEnvelope(this.#paths.nextEnvelopeFile, envelope);
  }

  /** Gives up what is staged, unless it is in force. @param inForce - The master key of the key table. */
  dropStaged(inForce: Buffer): void {
    this.settle(inForce);
    rmSync(this.#paths.nextEnvelopeFile, { force: true });
    syncFolder(this.#paths.folder);
  }

  /** Where a change of the master key was completed, the former envelope goes. */
  settle(inForce: Buffer): void {
    const { envelopeFile, nextEnvelopeFile, folder } = this.#paths;
    if (!existsSync(nextEnvelopeFile)) return;
    if (readInstanceEnvelope(nextEnvelopeFile)?.masterKey !== inForce.toString("hex")) return;
    renameSync(nextEnvelopeFile, envelopeFile);
    syncFolder(folder);
  }
}
