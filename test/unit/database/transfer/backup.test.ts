import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { generateKeyPair } from "../../../../src/crypto/curve.ts";
import { InstanceTable } from "../../../../src/database/gm/instance-table.ts";
import { type SubKeyOpener, softOpener } from "../../../../src/database/gm/sub-key-envelope.ts";
import { holderOver } from "../../../../src/database/holder/opened-holder.ts";
import { instancePaths } from "../../../../src/database/instance/instance-folder.ts";
import { backUpInstance } from "../../../../src/database/transfer/backup.ts";
import { restoreInstance } from "../../../../src/database/transfer/restore.ts";
import { makeStoppedInstance } from "../gm/stopped-instances.ts";

const within = mkdtempSync(join(tmpdir(), "strongroom-backups-"));
after(() => rmSync(within, { recursive: true, force: true }));
const [masterKey, foreignKey] = [generateKeyPair("sm2"), generateKeyPair("sm2")];
const canary = Buffer.from("this lies in a sealed file of the store as it is");
const inFile = { in: "file", file: undefined } as const;

function openerOf({ scalar, publicKey }: typeof masterKey): Promise<SubKeyOpener> {
  return softOpener(scalar, publicKey);
}

async function holderOf(key: typeof masterKey) {
  return holderOver(await openerOf(key));
}

async function backUp(folder: string): Promise<Buffer> {
  const pieces: Buffer[] = [];
  await backUpInstance({ paths: instancePaths(folder), metadataKey: inFile, holder: undefined }, async (bytes) => {
    pieces.push(Buffer.from(bytes));
  });
  return Buffer.concat(pieces);
}

async function* inPieces(bytes: Buffer, pieceBytes = 1000): AsyncIterable<Buffer> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
}

let folders = 0;
function newFolder(): string {
  folders += 1;
  return join(within, `restored-${folders}`);
}

function restore(
  bytes: Buffer,
  folder: string,
  key: typeof masterKey | undefined,
  metadataIn: "file" | "master" = "file",
) {
  return restoreInstance(inPieces(bytes), {
    folder,
    metadataKey: metadataIn === "file" ? inFile : { in: "master" },
    openHolder: key && (() => holderOf(key)),
  });
}

async function subKeyNames(folder: string): Promise<readonly string[]> {
  await using opener = await openerOf(masterKey);
  using table = (await InstanceTable.open(folder, opener)) ?? assert.fail("no table");
  return [...table.inForce().envelopes.keys()].sort();
}

describe("a backup of an instance", () => {
  let folder = "";
  let backup: Buffer = Buffer.alloc(0);
  before(async () => {
    folder = await makeStoppedInstance({ within, publicKey: masterKey.publicKey, zones: 3 });
    writeFileSync(join(folder, "store/tree/sealed"), canary);
    backup = await backUp(folder);
  });

  for (const metadataIn of ["file", "master"] as const)
    it(`is an instance again elsewhere, by the master key alone (metadata key in ${metadataIn})`, async () => {
      const restored = newFolder();
      await restore(backup, restored, masterKey, metadataIn);
      assert.deepEqual(readFileSync(join(restored, "store/tree/sealed")), canary);
      assert.deepEqual(await subKeyNames(restored), await subKeyNames(folder));
      assert.equal(existsSync(instancePaths(restored).keyFile), metadataIn === "file");
    });

  it("holds neither the instance key nor anything that can be read", () => {
    const key = readFileSync(instancePaths(folder).keyFile);
    assert.equal(backup.includes(key), false);
    assert.equal(backup.includes(canary), false);
  });

  it("is refused without the master key, and with another, and leaves no instance", async () => {
    const restored = newFolder();
    await assert.rejects(restore(backup, restored, undefined), { code: "INSTANCE_KEY_ABSENT" });
    await assert.rejects(restore(backup, restored, foreignKey), { code: "MASTER_KEY_MISMATCH" });
    assert.deepEqual(
      readdirSync(restored).filter((name) => !name.endsWith(".lock")),
      [],
    );
    await restore(backup, restored, masterKey);
    assert.equal((await subKeyNames(restored)).length, 4);
  });

  it("is refused cut, at any place", async () => {
    for (const length of [0, 4, 7, 100, 400, 700, backup.length >> 1, backup.length - 1]) {
      const restored = newFolder();
      await assert.rejects(
        restore(backup.subarray(0, length), restored, masterKey),
        { code: /^(?:BACKUP_DAMAGED|VOLUME_EXPORT_DAMAGED)$/ },
        `${length} bytes`,
      );
      assert.equal(existsSync(join(restored, "volume.header")), false);
    }
  });

  it("is refused with a bit changed, at any place", async () => {
    for (let at = 0; at < backup.length; at += Math.ceil(backup.length / 40)) {
      const altered = Buffer.from(backup);
      altered.writeUInt8(altered.readUInt8(at) ^ 1, at);
      const restored = newFolder();
      await assert.rejects(restore(altered, restored, masterKey), `byte ${at}`);
      assert.equal(existsSync(join(restored, "volume.header")), false);
    }
  });

  it("is refused when bytes follow", async () => {
    const more = Buffer.concat([backup, Buffer.of(0)]);
    await assert.rejects(restore(more, newFolder(), masterKey), { code: "VOLUME_EXPORT_DAMAGED" });
  });

  it("is refused a folder that holds an instance, or anything else", async () => {
    const taken = newFolder();
    mkdirSync(taken);
    writeFileSync(join(taken, "file"), "a file of somebody's");
    await assert.rejects(restore(backup, taken, masterKey), { code: "VOLUME_PLACE_NOT_EMPTY" });
    const before = readFileSync(instancePaths(folder).envelopeFile);
    await assert.rejects(restore(backup, folder, masterKey), { code: "INSTANCE_BUSY" });
    assert.deepEqual(readFileSync(instancePaths(folder).envelopeFile), before);
  });

  it("is not made of an instance that is in use", async () => {
    await using opener = await openerOf(masterKey);
    using _table = await InstanceTable.open(folder, opener);
    await assert.rejects(backUp(folder), { code: "INSTANCE_BUSY" });
  });
});
