import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import type { OpenedVolume } from "../../../../../src/volume/sealfs/server/opened-volume.ts";
import type { StoreInTest } from "./store-in-test.ts";
import { begin, bytesUnder, ClockedJob, makeZone, read, write, zonedStore } from "./zoned-store.ts";

const mebibyte = 1024 * 1024;
/** What the job seals anew at once, and after how much a file is committed. */
const stepBytes = 64 * 1024;
const committedBytes = 4 * mebibyte;
const headBytes = 4096;

function contentOf(length: number): Buffer {
  const content = Buffer.alloc(length);
  for (let at = 0; at + 4 <= length; at += 4) content.writeUInt32LE((at * 2_654_435_761) % 2 ** 32, at);
  return content;
}

async function opened(
  t: TestContext,
  files: Readonly<Record<string, Buffer>>,
): Promise<{ readonly store: StoreInTest; readonly volume: OpenedVolume; readonly zoneId: Buffer }> {
  const store = await zonedStore(t);
  const volume = await store.open();
  t.after(() => {
    try {
      volume.close();
    } catch {
      // Closed by the test.
    }
  });
  const zoneId = makeZone(volume, "zone");
  for (const [name, content] of Object.entries(files)) write(volume, "zone", name, content);
  return { store, volume, zoneId };
}

describe("the sealing anew of a zone", () => {
  it("takes no more bytes than its rate in any time, pauses, and goes on", async (t) => {
    const large = contentOf(3 * mebibyte);
    const { volume, zoneId } = await opened(t, { large, small: contentOf(10_000), empty: Buffer.alloc(0) });
    volume.keys.rotate(zoneId);
    const total = bytesUnder(volume, zoneId).get(1) ?? assert.fail();
    assert.ok(total >= 3 * mebibyte + 10_000);
    const clocked = new ClockedJob(volume);
    const rate = mebibyte;
    clocked.job.setRate(rate);
    clocked.job.begin();
    const seen: { readonly atMs: number; readonly bytes: number }[] = [];
    const look = () => {
      const left = bytesUnder(volume, zoneId).get(1) ?? 0;
      seen.push({ atMs: clocked.nowMs, bytes: total - left });
      return left;
    };
    clocked.run();
    for (let left = look(); left > total / 2; left = look()) assert.ok(clocked.step());
    clocked.job.setRate(0);
    // What was under way before the pause may end.
    clocked.step();
    const paused = look();
    for (let minutes = 0; minutes < 10; minutes += 1) clocked.step();
    assert.equal(look(), paused);
    assert.equal(clocked.job.progress.state, "paused");
    assert.equal(clocked.job.progress.totalBytes, total);
    // Beside what it has sealed anew, the three files may have new heads.
    assert.ok(Math.abs(total - paused - clocked.job.progress.doneBytes) <= 3 * headBytes);
    clocked.job.setRate(rate);
    while (clocked.step()) look();
    assert.equal(look(), 0);
    assert.equal(clocked.job.progress.state, "idle");
    for (const [index, { atMs, bytes }] of seen.entries())
      for (const later of seen.slice(index)) {
        const most = ((later.atMs - atMs) / 1000) * rate + stepBytes;
        assert.ok(later.bytes - bytes <= most, `${later.bytes - bytes} bytes in ${later.atMs - atMs} ms`);
        assert.ok(later.bytes >= bytes);
      }
    assert.ok(read(volume, "zone", "large").equals(large));
    assert.deepEqual(clocked.told, []);
  });

  it("was killed within a large file: what was committed last stays sealed anew, and the rest follows", async (t) => {
    const large = contentOf(9 * mebibyte);
    const { store, volume, zoneId } = await opened(t, { large });
    volume.keys.rotate(zoneId);
    const total = bytesUnder(volume, zoneId).get(1) ?? assert.fail();
    const clocked = new ClockedJob(volume);
    clocked.job.begin();
    clocked.run();
    let before = total;
    for (const [done, least] of [
      [2 * mebibyte, 0],
      [committedBytes + mebibyte, committedBytes],
      [2 * committedBytes + stepBytes, 2 * committedBytes],
    ] as const) {
      while (clocked.job.progress.doneBytes < done) assert.ok(clocked.step());
      const left = store.killed();
      const again = await left.open();
      assert.equal(again.wasClean, false);
      const older = bytesUnder(again, zoneId).get(1) ?? 0;
      assert.ok(older <= before, "it grew");
      assert.ok(older <= total - least, `${total - older} bytes are sealed anew, ${least} were committed`);
      // What was not committed was not overwritten, either.
      assert.ok(older >= total - done - stepBytes);
      assert.ok(read(again, "zone", "large").equals(large));
      before = older;
      const goesOn = new ClockedJob(again);
      goesOn.job.begin();
      goesOn.run();
      assert.equal(goesOn.job.progress.totalBytes, older);
      goesOn.finish();
      assert.equal(bytesUnder(again, zoneId).get(1) ?? 0, 0);
      again.keys.table.retireGeneration(zoneId, 1);
      again.keys.destroyGeneration(zoneId, 1, 0);
      assert.ok(read(again, "zone", "large").equals(large));
      again.close();
      const last = await left.open("check");
      assert.ok(read(last, "zone", "large").equals(large));
      last.close();
      assert.deepEqual(left.told, []);
    }
  });

  for (const when of ["paused", "at work"] as const)
    it(`lets go of a file that is removed while it is ${when}`, async (t) => {
      const { volume, zoneId } = await opened(t, { large: contentOf(mebibyte) });
      volume.keys.rotate(zoneId);
      const clocked = new ClockedJob(volume);
      clocked.job.setRate(mebibyte);
      clocked.job.begin();
      while (clocked.job.progress.doneBytes < mebibyte / 4) assert.ok(clocked.step());
      if (when === "paused") {
        clocked.job.setRate(0);
        clocked.step();
      }
      const { node } = volume.tree.lookup(1, "zone");
      volume.tree.unlink(node, "large");
      if (when === "at work") clocked.step();
      assert.deepEqual(
        Array.from(volume.tree.openContents()).filter(({ removed }) => removed),
        [],
      );
      assert.equal(bytesUnder(volume, zoneId).size, 0);
      clocked.job.setRate(mebibyte);
      clocked.finish();
      assert.equal(clocked.job.progress.state, "idle");
      assert.deepEqual(clocked.told, []);
    });

  it("goes on after any pauses, however short, and calls nothing incomplete", async (t) => {
    const { volume, zoneId } = await opened(t, { one: contentOf(mebibyte), two: contentOf(mebibyte) });
    volume.keys.rotate(zoneId);
    const clocked = new ClockedJob(volume);
    clocked.job.begin();
    for (let time = 0; time < 200 && clocked.job.progress.state !== "idle"; time += 1) {
      clocked.job.setRate(time % 3 === 0 ? mebibyte : 0);
      clocked.run();
    }
    assert.equal(clocked.job.progress.state, "idle");
    assert.equal(bytesUnder(volume, zoneId).get(1) ?? 0, 0);
    assert.deepEqual(clocked.told, []);
  });

  it("follows a generation that is begun meanwhile, and files that are written, renamed and removed", async (t) => {
    const files = Object.fromEntries(Array.from({ length: 12 }, (_, at) => [`f${at}`, contentOf(200_000 + at)]));
    const { volume, zoneId } = await opened(t, files);
    const open = begin(volume, "zone", "unnamed", contentOf(150_000));
    const { node } = volume.tree.lookup(1, "zone");
    volume.tree.unlink(node, "unnamed");
    volume.keys.rotate(zoneId);
    const clocked = new ClockedJob(volume);
    clocked.job.begin();
    for (let at = 0; clocked.step(); at += 1) {
      if (at === 5) {
        volume.keys.rotate(zoneId);
        clocked.job.begin();
      }
      if (at % 3 === 0 && at < 24) volume.tree.rename(node, `f${at / 3}`, node, `g${at / 3}`, 0);
      if (at === 10) volume.tree.unlink(node, "f11");
      if (at === 12) write(volume, "zone", "new", contentOf(99_999));
      if (at > 5000) assert.fail("it does not end");
    }
    assert.deepEqual([...bytesUnder(volume, zoneId).keys()], [3]);
    for (let at = 0; at < 8; at += 1) assert.ok(read(volume, "zone", `g${at}`).equals(contentOf(200_000 + at)));
    const unnamed = Buffer.alloc(150_000);
    volume.tree.read(open, 0, unnamed);
    assert.ok(unnamed.equals(contentOf(150_000)));
    volume.tree.release(open);
  });
});
