import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { volumeDriver } from "../../../../src/volume/drivers.ts";
import { FilledStore, treeOf } from "../../../unit/volume/transfer/filled-store.ts";
import { nobody, otherUserUnavailable } from "../../other-user.ts";
import { gather } from "../engines/processes.ts";

const program = join(import.meta.dirname, "import-program.ts");

interface Imported {
  readonly code: number | null;
  readonly errors: string;
}

/** A place for a volume in a folder of its own, which is its user's. */
function placeOf(store: FilledStore, user: number): string {
  chmodSync(store.work, 0o755);
  const own = join(store.work, "own");
  mkdirSync(own, { mode: 0o755 });
  chownSync(own, user, user);
  return join(own, "volume");
}

async function asNobody(
  store: FilledStore,
  exported: Buffer,
  folder: string,
  ...args: readonly string[]
): Promise<Imported> {
  const keyFile = join(store.work, "key");
  store.dataKey.expose((bytes) => writeFileSync(keyFile, bytes, { mode: 0o600 }));
  const keyFd = openSync(keyFile, "r");
  const child = spawn(process.execPath, [program, folder, ...args], {
    ...{ uid: nobody, gid: nobody, cwd: "/", stdio: ["pipe", "ignore", "pipe", keyFd] },
  });
  closeSync(keyFd);
  const errors = gather(child.stderr);
  child.stdin?.on("error", () => {});
  child.stdin?.end(exported);
  const [code] = await once(child, "close");
  return { code, errors: errors() };
}

describe("an import by a user who is not root", { skip: otherUserUnavailable }, () => {
  it("is refused where files are another's, says what to do, and leaves no volume", async () => {
    using store = await FilledStore.make();
    const folder = placeOf(store, nobody);
    const { code, errors } = await asNobody(store, await store.export(), folder);
    assert.equal(code, 1);
    assert.match(errors, /VOLUME_SYSTEM/);
    assert.match(errors, /belong to other users .*import it as root, or take them all over \(--own\)/);
    assert.match((await (await volumeDriver("sealfs")).status({ folder })).state, /^(absent|incomplete)$/);
    assert.equal(existsSync(join(folder, "store")), false);
    assert.equal(existsSync(join(folder, "volume.header")), false);
  });

  it("takes all files over where it is told to, with modes, times and contents as they were", async () => {
    using store = await FilledStore.make();
    const folder = placeOf(store, nobody);
    const { code, errors } = await asNobody(store, await store.export(), folder, "mine");
    assert.equal(code, 0, errors);
    const facts = (from: string) =>
      JSON.stringify(treeOf(from), (key, value) =>
        key === "uid" || key === "gid" ? undefined : typeof value === "bigint" ? String(value) : value,
      );
    assert.equal(facts(join(folder, "store/tree")), facts(join(store.folder, "store/tree")));
    for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" }).filter(
      (one) => !one.includes("\ufffd"),
    ))
      assert.equal(lstatSync(join(folder, name)).uid, nobody, name);
    const report = await (await volumeDriver("sealfs")).check({ folder }, store.dataKey);
    assert.equal(report.description.volumeId.length, 36);
  });

  it("makes nothing where the folder is another's", async () => {
    using store = await FilledStore.make();
    const folder = placeOf(store, 0);
    const { code } = await asNobody(store, await store.export(), folder, "mine");
    assert.equal(code, 1);
    assert.deepEqual(readdirSync(join(folder, "..")), []);
  });
});
