/** An encrypted time-series database beside a plain one. Run it by `script/demo --db`. */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { withShortKeys } from "../commands.ts";
import { Demo } from "../demo.ts";
import { copyFolder, folderDigest, freePorts } from "../folders.ts";
import { run } from "../hsm/shell.ts";
import { searchFiles } from "../planted-bytes.ts";
import { DemoInstance, type MasterKey } from "./instance.ts";
import { type Canaries, importFile, newCanaries, plantedOf, pointsInFile, Writer } from "./points.ts";

const demo = new Demo({ steps: 8, option: "db", usage: "usage: script/demo --db [--keep]" });
const { work, stage, commands } = demo;

/** What a query answers, as JSON; through the proxy. */
async function query(port: number, q: string): Promise<string> {
  const answer = await fetch(`http://127.0.0.1:${port}/query`, { method: "POST", body: new URLSearchParams({ q }) });
  return answer.text();
}

async function countIn(port: number, from: string, field: string): Promise<number> {
  const answered = await query(port, `SELECT count(${field}) FROM ${from}`);
  return Number(/"values":\[\["[^"]*",(\d+)\]/.exec(answered)?.[1] ?? 0);
}

/** Searches all that the instance has on the disk; the volume's own mount point shows it in plain while it is open, and is left out. */
function searchDisk(folder: string, canaries: Canaries): { readonly hits: number; readonly seen: string } {
  const places = ["store", "instance.envelope", "instance.key", "volume.header"].map((name) => join(folder, name));
  const { found, files, bytes } = searchFiles(places, plantedOf(canaries));
  return { hits: found.length, seen: `${found.length} hits in ${files} files, ${(bytes / 1e6).toFixed(1)} MB` };
}

/** A start that must be refused, and must leave the folder as it is. */
async function refusedStart(what: string, args: readonly string[], exitCode: number, folder: string): Promise<void> {
  const before = folderDigest(join(work, folder));
  const ended = await commands.attempt(["db", "serve", ...args]);
  for (const line of ended.stderr.trim().split("\n")) stage.say(line.replaceAll(`${work}/`, ""));
  const isWhole = folderDigest(join(work, folder)) === before;
  const files = isWhole ? "every file is as it was" : "FILES HAVE CHANGED";
  stage.check(what, ended.exitCode === exitCode && isWhole, `exit code ${ended.exitCode}, ${files}`);
}

async function story(): Promise<void> {
  for (const program of ["influxd", "influx"])
    if ((await run(undefined, work, [program, program === "influxd" ? "version" : "-version"])).exitCode !== 0)
      throw new Error(`${program} is missing: as root, apt-get install influxdb influxdb-client`);
  const [port = 0] = await freePorts(1);
  const instance = new DemoInstance({ stage, commands, folder: work, port });
  const canaries = { noenc: newCanaries("noenc"), enc: newCanaries("enc") };
  const data = join(work, instance.data);
  const everything = async () => ({
    noenc: await countIn(port, `noenc..${JSON.stringify(canaries.noenc.measurement)}`, "level"),
    enc: await countIn(port, `enc..${JSON.stringify(canaries.enc.measurement)}`, "level"),
  });

  stage.step("A master key: an SM2 pair, its private half encrypted under a pincode");
  const first = await instance.makeMasterKey("first");
  stage.say(`public key ${first.publicKey}`);

  stage.step("InfluxDB, unmodified, is started on a sealed volume; one database is made plain, one encrypted");
  instance.writeSettings(instance.config, instance.settings(first));
  await instance.start();
  await instance.influx(["-execute", "CREATE DATABASE noenc"]);
  await instance.influx(["-execute", "CREATE DATABASE enc WITH ENCRYPTION ON"]);
  const shown = await instance.influx(["-execute", "SHOW DATABASES"]);
  stage.check(
    "SHOW DATABASES tells which is encrypted",
    /^noenc +false$/m.test(shown.stdout) && /^enc +true$/m.test(shown.stdout),
    "noenc false, enc true",
  );

  stage.step("Both are written to");
  for (const [database, its] of Object.entries(canaries)) {
    writeFileSync(join(work, `${database}.points`), importFile(database, its), { mode: 0o600 });
    await instance.influx(["-import", "-path", `${database}.points`]);
    rmSync(join(work, `${database}.points`));
  }
  const counted = await everything();
  stage.check(
    "what was written is read",
    counted.noenc === pointsInFile && counted.enc === pointsInFile,
    `${counted.noenc} points in noenc, ${counted.enc} in enc`,
  );

  stage.step("The disk is searched for a measurement, a tag and a field of each");
  await lookAtDisk("while it runs", data, canaries);
  await instance.kill();
  await lookAtDisk("after kill -9", data, canaries);
  await instance.start();
  const again = await everything();
  stage.check(
    "nothing that was acknowledged is lost",
    again.noenc === pointsInFile && again.enc === pointsInFile,
    `${again.noenc} and ${again.enc} points`,
  );
  const { databases } = await instance.status();
  const enc = databases.find(({ name }) => name === "enc");
  stage.say(`enc has ${enc?.shards} shards and ${enc?.subKeys} sub-keys, each in an envelope to the master key`);

  stage.step("Without the pincode");
  await instance.stop();
  await refusals(instance, first);

  stage.step("The master key is changed while clients write");
  instance.writeSettings("first.toml", instance.settings(first));
  const second = await instance.makeMasterKey("second");
  await instance.start();
  const writer = new Writer(port, "enc");
  const rotate = ["--new-public-key", second.publicKey, "--new-private-key-file", second.privateKeyFile];
  const online = ["db", "rotate-master", "--config", instance.config, ...rotate, "--new-pincode-file"];
  const rotated = await commands.run([...online, second.pincodeFile, "--update-config"]);
  stage.say(withShortKeys(rotated.stdout.trim()));
  await writer.stop();
  const kept = await countIn(port, "enc..meanwhile", "n");
  stage.check(
    "clients noticed nothing",
    writer.refused === 0 && writer.acknowledged > 0 && kept === writer.acknowledged,
    `${writer.acknowledged} points written meanwhile, ${writer.refused} refused, ${kept} read`,
  );
  await instance.stop();
  await refusedStart("the former master key opens nothing any more", ["--config", "first.toml"], 3, instance.data);

  stage.step("It is changed once more, while the database is stopped");
  const third = await instance.makeMasterKey("third");
  const treeBefore = folderDigest(join(data, "store/tree"));
  const current = ["--pubkey", second.publicKey, "--prikey-file", second.privateKeyFile, "--pincode-file"];
  const next = ["--expubkey", third.publicKey, "--exprikey-file", third.privateKeyFile, "--expincode-file"];
  const offline = [
    ...current,
    second.pincodeFile,
    ...next,
    third.pincodeFile,
    "--update-config",
    instance.config,
    instance.data,
  ];
  const enveloped = await instance.fctools(["envelop", ...offline]);
  for (const line of [enveloped.stdout, enveloped.stderr].join("").trim().split("\n")) stage.say(line);
  stage.check("fctools envelop ends well", enveloped.exitCode === 0, `exit code ${enveloped.exitCode}`);
  stage.check(
    "no data was written anew",
    folderDigest(join(data, "store/tree")) === treeBefore,
    "only envelopes have changed",
  );
  await instance.start();
  stage.check("the database is whole under the new key", (await everything()).enc === pointsInFile, "all points read");

  stage.step("DROP DATABASE destroys the sub-keys");
  await instance.influx(["-execute", "DROP DATABASE enc"]);
  const left = (await instance.status()).databases.map(({ name }) => name);
  stage.check("the key table has no key of enc any more", !left.includes("enc"), `databases: ${left.join(", ")}`);
  await instance.stop();
}

async function lookAtDisk(when: string, data: string, canaries: { readonly noenc: Canaries; readonly enc: Canaries }) {
  const [plain, encrypted] = [searchDisk(data, canaries.noenc), searchDisk(data, canaries.enc)];
  stage.check(`${when}, what is in noenc is found on the disk`, plain.hits > 0, plain.seen);
  stage.check(`${when}, nothing of enc is`, encrypted.hits === 0, encrypted.seen);
}

async function refusals(instance: DemoInstance, first: MasterKey): Promise<void> {
  const { port, data } = instance;
  instance.writeSettings("wrong.pincode", "not the pincode");
  await refusedStart(
    "with a wrong pincode it does not start",
    ["--config", instance.config, "--pincode-file", "wrong.pincode"],
    3,
    data,
  );
  instance.writeSettings("nobody.toml", instance.settings(first).replace(/^pincode-file.*\n/m, ""));
  await refusedStart("with none it does not start", ["--config", "nobody.toml"], 2, data);
  copyFolder(join(work, data), join(work, "stolen"));
  const thief = await instance.makeMasterKey("thief");
  instance.writeSettings("thief.toml", instance.settings(thief));
  await refusedStart(
    "a copy of the disk opens under no other master key",
    ["--config", "thief.toml", "--data", "stolen"],
    3,
    "stolen",
  );

  instance.writeSettings("plain.toml", instance.settings());
  await instance.start("plain.toml");
  const said = await instance.influx(["-execute", "SELECT * FROM enc../.*/ LIMIT 1"]);
  stage.check(
    "without the settings enc is refused",
    said.exitCode !== 0 && /security\.encryption/.test(said.stdout + said.stderr),
    "the error names the missing setting",
  );
  const made = await instance.influx(["-execute", "CREATE DATABASE other WITH ENCRYPTION ON"]);
  stage.check("… and no other encrypted one is made", made.exitCode !== 0, `exit code ${made.exitCode}`);
  const plain = await countIn(port, "noenc../.*/", "level");
  stage.check("… while noenc works on", plain === pointsInFile, `${plain} points`);
  await instance.stop();
}

await demo.play(story);
