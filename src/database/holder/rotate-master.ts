import { setImmediate } from "node:timers/promises";
import { Sm2Recipient } from "../../crypto/sm2-encryption.ts";
import type { SealfsControl } from "../../volume/sealfs/control/control.ts";
import type { EnvelopedKey } from "../../volume/sealfs/keys/rekey.ts";
import { DatabaseError } from "../errors.ts";
import { InstanceEnvelopes } from "../gm/instance-envelopes.ts";
import { isEnvelope, isSubKeyLength } from "../gm/sub-key-envelope.ts";
import { subKeyName } from "../gm/table-contents.ts";
import type { InstancePaths } from "../instance/instance-folder.ts";
import { envelopInstanceKey, openInstanceEnvelope } from "../instance/instance-key.ts";
import { changeMasterKey } from "../settings-change.ts";
import type { ChangeableKeyHolder } from "./changeable-holder.ts";
import { readMasterRecord, writeMasterRecord } from "./master-record.ts";
import type { OpenedKeyHolder } from "./opened-holder.ts";
import {
  readRotationJournal,
  removeRotationJournal,
  type SettingsToChange,
  writeRotationJournal,
} from "./rotation-journal.ts";

/** What of the volume's control a change of the master key uses. */
export type RekeyControl = Pick<
  SealfsControl,
  "keys" | "beginRekey" | "waitingKeys" | "stageKeys" | "stagedKeys" | "finishRekey" | "dropPrevious"
>;

/** The running instance whose master key is changed. */
export interface RunningInstance {
  readonly paths: InstancePaths;
  readonly control: RekeyControl;
  /** The one that the volume was opened with. */
  readonly holder: ChangeableKeyHolder;
  /** Called after each durable step, for tests that end the process there. */
  readonly onStep?: (step: string) => void;
}

export interface MasterRotation {
  /** Sub-keys that are in envelopes to the new master key, that of the instance not counted. */
  readonly total: number;
  /** 130 hexadecimal digits. */
  readonly publicKey: string;
}

/** So that requests of programs are answered meanwhile. */
const batchKeys = 64;

/**
 * Changes the master key of a running instance. Reads and writes go on meanwhile: the holder opens envelopes to both keys from
 * before the first new one is made until the change has ended. The volume's table takes all new envelopes in one step, so that
 * after a kill at any moment it is under one of the keys, whole; {@link settleRotation} finds out which at the next start.
 *
 * @param next - The new master key; the holder becomes its owner.
 * @param settings - Changed once the new key is in force.
 * @throws {DatabaseError} `SETTINGS_INVALID` for the key in force; `ENVELOPE_REFUSED`, `ENVELOPE_TABLE_DAMAGED` when what was made does not read back: the former key is then
 *   in force. @throws {KeyTableError} What the volume's server answers.
 */
export async function rotateMaster(
  instance: RunningInstance,
  next: OpenedKeyHolder,
  settings: SettingsToChange | undefined,
): Promise<MasterRotation> {
  const { paths, control, holder, onStep = () => {} } = instance;
  const from = holder.publicKey;
  const to = next.publicKey;
  if (from.equals(to)) {
    await next[Symbol.asyncDispose]();
    // In force already, with the rest of an interrupted change to be done.
    if (readRotationJournal(paths)?.to.equals(to) !== true)
      throw new DatabaseError(
        "SETTINGS_INVALID",
        "this is the master key that is in force: there is nothing to change",
      );
  } else await holder.expect(next);
  if ((await publicKeyInForce(control)) !== to.toString("hex")) {
    try {
      await stageInstanceKey(paths, holder, next);
      onStep("instance key staged");
      await stageSubKeys(control, holder, next, onStep);
      writeRotationJournal(paths, { from, to, settings });
      onStep("journal written");
    } catch (error) {
      await holder.settle("kept");
      throw error;
    }
    await control.finishRekey({ keepPrevious: true });
    onStep("in force");
    // Where this fails both keys stay open, and the same command goes on from here.
    if ((await publicKeyInForce(control)) !== to.toString("hex"))
      throw new DatabaseError("ENVELOPE_TABLE_DAMAGED", "the key table is not under the new master key");
  }
  holder.putInForce();
  // Before the former envelope of the instance key goes: with the former settings it could not be opened any more.
  nameInSettings(to, settings);
  onStep("settings changed");
  new InstanceEnvelopes(paths).settle(to);
  onStep("instance key in force");
  await holder.settle("changed");
  await control.dropPrevious();
  forgetFormerKeys(paths, to);
  onStep("former envelopes dropped");
  removeRotationJournal(paths);
  const { zones } = await control.keys();
  const total = zones.reduce(
    (count, { protection, generations }) => count + (protection === "sealed" ? generations.length : 0),
    0,
  );
  return { total, publicKey: to.toString("hex") };
}

/** Of the provider key-manager: the former wrapped key goes. */
export function forgetFormerKeys({ folder }: InstancePaths, inForce: Buffer): void {
  const kept = readMasterRecord(folder);
  const found = kept.find(({ publicKey }) => publicKey.equals(inForce));
  if (found !== undefined && kept.length > 1) writeMasterRecord(folder, [found]);
}

/** Has the settings name the new master key, where the change was asked to. */
export function nameInSettings(publicKey: Buffer, settings: SettingsToChange | undefined): void {
  if (settings === undefined) return;
  const { file, privateKeyFile, pincodeFile } = settings;
  changeMasterKey(file, { publicKey, privateKeyFile, pincodeFile });
}

async function publicKeyInForce(control: RekeyControl): Promise<string | undefined> {
  return (await control.keys()).publicKey;
}

/** The instance key in an envelope to the next key, which opens it again before it counts. */
async function stageInstanceKey(
  paths: InstancePaths,
  holder: ChangeableKeyHolder,
  next: OpenedKeyHolder,
): Promise<void> {
  const envelopes = new InstanceEnvelopes(paths);
  const current = envelopes.to(holder.publicKey);
  if (current === undefined)
    throw new DatabaseError("INSTANCE_DAMAGED", `${paths.envelopeFile} holds no envelope to the master key in force`, {
      hint: "start the instance again with instance.key in place: it makes the envelope anew",
    });
  using key = await openInstanceEnvelope(current, holder);
  envelopes.dropStaged(holder.publicKey);
  envelopes.stage(envelopInstanceKey(key, next.publicKey));
  const staged = envelopes.to(next.publicKey);
  if (staged === undefined) throw unreadable("instance-key");
  using again = await openInstanceEnvelope(staged, next);
  if (!again.equals(key)) throw unreadable("instance-key");
}

async function stageSubKeys(
  control: RekeyControl,
  holder: ChangeableKeyHolder,
  next: OpenedKeyHolder,
  onStep: (step: string) => void,
): Promise<void> {
  const recipient = new Sm2Recipient(next.publicKey);
  await control.beginRekey(next.publicKey);
  onStep("begun");
  const made = new Map<string, Buffer>();
  for (let waiting = await control.waitingKeys(batchKeys); waiting.length > 0; ) {
    const batch: EnvelopedKey[] = [];
    for (const key of waiting) {
      const envelope = await enveloped(key, holder, recipient);
      made.set(subKeyName(key.zoneId, key.generation), envelope);
      batch.push({ ...key, envelope });
      await setImmediate();
    }
    await control.stageKeys(batch);
    onStep("a batch staged");
    waiting = await control.waitingKeys(batchKeys);
  }
  for (const { zoneId, generation, envelope } of await control.stagedKeys())
    await checkStaged(subKeyName(zoneId, generation), envelope, made, next);
}

async function enveloped(key: EnvelopedKey, holder: ChangeableKeyHolder, recipient: Sm2Recipient): Promise<Buffer> {
  using subKey = await holder.unwrap(key.envelope);
  return subKey.expose((bytes) => recipient.encrypt(bytes, "asn1"));
}

/** What this run made is read back as it was; what an earlier one made must open. */
async function checkStaged(
  name: string,
  envelope: Buffer,
  made: ReadonlyMap<string, Buffer>,
  next: OpenedKeyHolder,
): Promise<void> {
  const expected = made.get(name);
  if (expected !== undefined) {
    if (!expected.equals(envelope)) throw unreadable(name);
    return;
  }
  // Those of zones under the table's own key are made by the server, and are of its form.
  if (!isEnvelope(envelope)) return;
  using subKey = await next.unwrap(envelope, next.publicKey);
  if (!isSubKeyLength(subKey.byteLength)) throw unreadable(name);
  await setImmediate();
}

function unreadable(name: string): DatabaseError {
  return new DatabaseError("ENVELOPE_TABLE_DAMAGED", `the new envelope of ${name} is not what was written`, {
    hint: "the former master key stays in force; look for a failing disk",
  });
}
