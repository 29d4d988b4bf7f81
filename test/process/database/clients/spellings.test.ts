import assert from "node:assert/strict";
import { globSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import fc from "fast-check";
import { scaled, seed } from "../../../run-settings.ts";
import { type InstanceInTest, skip } from "../instance/served-instance.ts";
import { exchange, query } from "../proxy/exchange.ts";
import { sendRaw } from "./raw-request.ts";
import { SideBySide } from "./side-by-side.ts";
import { allSpellings, anySpelling } from "./spellings.ts";

/** Written to every database that may only be there encrypted. */
const canary = "canaryOfAnEncryptedDatabase";

describe("a database that is made encrypted, however that is asked for, is never a plain one", { skip }, () => {
  let both: SideBySide;
  let instance: InstanceInTest;
  let writes = 0;
  before(async () => {
    both = await SideBySide.start();
    instance = both.instance;
  });
  after(() => both.stop());

  /** The databases of one that is asked, and whether they are encrypted; plain influxd does not tell. */
  async function databases(port = instance.port): Promise<ReadonlyMap<string, boolean | undefined>> {
    const answer = JSON.parse((await query(port, "SHOW DATABASES")).text);
    return new Map(answer.results[0].series[0].values ?? []);
  }

  async function drop(names: Iterable<string>, port = instance.port): Promise<void> {
    for (const name of names)
      await query(port, `DROP DATABASE "${name.replace(/["\\]/g, "\\$&").replaceAll("\n", "\\n")}"`);
  }

  async function writeTo(database: string, text: string): Promise<void> {
    const target = `/write?${new URLSearchParams({ db: database })}`;
    const body = `${text},tag=${text} field="${text}",at=${writes++}i`;
    assert.equal((await exchange(instance.port, { method: "POST", target, body })).status, 204, database);
  }

  function filesHolding(text: string): readonly string[] {
    const store = join(instance.data, "store");
    return globSync("**", { cwd: store }).filter((path) => {
      const file = join(store, path);
      return statSync(file, { throwIfNoEntry: false })?.isFile() === true && readFileSync(file).includes(text);
    });
  }

  it("in every way to send it, and by every odd name", async () => {
    const spellings = allSpellings();
    for (const { raw, database, usual } of spellings) {
      const answer = await sendRaw(instance.port, raw);
      const made = await databases();
      if (usual) assert.equal(made.get(database), true, `${raw}\n${answer}`);
      for (const [name, encrypted] of made) {
        assert.equal(encrypted, true, `${JSON.stringify(name)} is plain: ${raw}\n${answer}`);
        await writeTo(name, canary);
      }
      await drop(made.keys());
    }
    assert.deepEqual([...(await databases()).keys()], []);
    assert.ok(writes > spellings.length / 2, `only ${writes} of ${spellings.length} spellings make a database`);
  });

  it("among other statements, with something put in or left out: plain comes out only what plain influxd makes of the same bytes", async () => {
    let made = 0;
    await fc.assert(
      fc.asyncProperty(anySpelling, async (raw) => {
        const answer = await sendRaw(instance.port, raw);
        const after = await databases();
        const plain = [...after].filter(([, encrypted]) => encrypted !== true).map(([name]) => name);
        if (plain.length > 0) {
          await sendRaw(both.plain.port, raw);
          const byInfluxd = await databases(both.plain.port);
          for (const name of plain)
            assert.ok(byInfluxd.has(name), `${JSON.stringify(name)} is plain: ${raw}\n${answer}`);
          await drop(byInfluxd.keys(), both.plain.port);
        }
        made += after.size - plain.length;
        await drop(after.keys());
      }),
      { seed, numRuns: scaled(8_000), endOnFailure: true },
    );
    assert.ok(made > scaled(8_000) / 10, `only ${made} spellings made an encrypted database`);
  });

  it("and none of what is written to it can be read in the store, while what is written to a plain one can", async () => {
    const usual = allSpellings().filter((each) => each.usual);
    for (const { raw } of usual) await sendRaw(instance.port, raw);
    const made = await databases();
    assert.equal(made.size, usual.length);
    for (const name of made.keys()) await writeTo(name, canary);
    assert.deepEqual(filesHolding(canary), []);
    await query(instance.port, "CREATE DATABASE noenc; CREATE DATABASE off WITH ENCRYPTION OFF");
    for (const name of ["noenc", "off"]) await writeTo(name, `plain_${name}`);
    for (const name of ["noenc", "off"]) assert.notDeepEqual(filesHolding(`plain_${name}`), [], name);
    const sets = new Set([...made.values()]);
    assert.deepEqual([...sets], [true]);
  });
});
