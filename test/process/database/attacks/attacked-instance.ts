import { spawnSync } from "node:child_process";
import { lstatSync, lutimesSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { InstanceInTest } from "../instance/served-instance.ts";

/** Files of data are written as soon as nothing is written any more, or not at all. */
const influxdConfig = (coldAfter: string): string => `[data]
cache-snapshot-write-cold-duration = "${coldAfter}"
[monitor]
store-enabled = false
`;
const measurement = "m";
/** Mondays of two weeks, at which shards of a week each begin. */
const shardSeconds: readonly number[] = [1_700_438_400, 1_701_043_200];
const patienceMs = 60_000;
const toldWithinMs = 10_000;

/** What came of serving an instance whose folder was attacked. */
export interface Outcome {
  /** What it printed when it did not start. */
  readonly refused: string | undefined;
  /** Values of all points that a query gave. */
  readonly values: readonly number[];
  /** What was told to the client as an error. */
  readonly failed: string | undefined;
  /** Whether a second query, after the first one has met what is damaged, gave all values or an error. */
  readonly isOpenAboutLoss: boolean;
  readonly printed: string;
}

/** An instance with one encrypted database of two shards, whose folder is kept in two states, and attacked in copies. */
export class AttackedInstance {
  readonly instance: InstanceInTest;
  readonly older: string;
  readonly whole: string;
  /** Of the encrypted database, after both states. */
  readonly values: number[] = [];
  /** Paths of files in the mounted volume, with where they lie in the backing folder. */
  #places = new Map<string, string>();

  private constructor(instance: InstanceInTest) {
    this.instance = instance;
    this.older = join(instance.folder, "older");
    this.whole = join(instance.folder, "whole");
  }

  static async make(): Promise<AttackedInstance> {
    const instance = await InstanceInTest.make(`influxd-config = "influxd.conf"\n`);
    const attacked = new AttackedInstance(instance);
    writeFileSync(join(instance.folder, "influxd.conf"), influxdConfig("500ms"));
    await instance.start();
    await instance.query("CREATE DATABASE enc WITH ENCRYPTION ON");
    for (const shard of [0, 1]) for (const value of [10, 11]) await attacked.#write(shard, 100 * shard + value);
    await attacked.#untilInFiles();
    await instance.end();

    writeFileSync(join(instance.folder, "influxd.conf"), influxdConfig("1h"));
    for (const state of [attacked.older, attacked.whole]) {
      await instance.start();
      await attacked.#write(1, 1000 + attacked.values.length);
      attacked.#places = placesOf(join(instance.data, "root"), join(instance.data, "store/tree"));
      await instance.end();
      copyFolder(instance.data, state);
    }
    return attacked;
  }

  /** Where the first file of the volume that a pattern fits lies in the backing folder of an instance's folder. */
  stored(folder: string, pattern: RegExp): string {
    const path = [...this.#places.keys()].sort().find((each) => pattern.test(each));
    if (path === undefined) throw new Error(`no file is ${pattern}: ${[...this.#places.keys()].join(", ")}`);
    return join(folder, "store/tree", this.#places.get(path) ?? "");
  }

  /** Serves the newer state after something was done to it, and reads all points. */
  async after(attack: (folder: string) => void, config?: string): Promise<Outcome> {
    const { instance } = this;
    copyFolder(this.whole, instance.data);
    attack(instance.data);
    try {
      await instance.start(config);
    } catch (error) {
      await instance.end("SIGKILL");
      return { refused: String(error), values: [], failed: undefined, isOpenAboutLoss: true, printed: instance.output };
    }
    const first = await this.#read();
    // What the volume's server has told reaches the serving process after influxd's answer.
    if (first.values.length < this.values.length) {
      await sleep(500);
      for (const deadline = Date.now() + toldWithinMs; !/damaged: /.test(instance.output); await sleep(50))
        if (Date.now() > deadline) break;
    }
    const second = await this.#read();
    await instance.end();
    const isOpenAboutLoss = second.failed !== undefined || second.values.length === this.values.length;
    return { refused: undefined, ...first, isOpenAboutLoss, printed: instance.output };
  }

  async #read(): Promise<Pick<Outcome, "values" | "failed">> {
    const text = await this.instance.query(`SELECT v FROM enc.autogen.${measurement}`);
    const values = [...text.matchAll(/\["[^"]*",(-?\d+)\]/g)].map((match) => Number(match[1]));
    return { values, failed: /"error":"(.*?)"[,}]/.exec(text)?.[1] };
  }

  /** The folder of another stopped instance under the same master key, with a database of the same name. */
  async another(): Promise<string> {
    const { instance } = this;
    const folder = join(instance.folder, "another");
    rmSync(instance.data, { recursive: true });
    await instance.start();
    await instance.query("CREATE DATABASE enc WITH ENCRYPTION ON");
    await this.#send(0, 1);
    await instance.end();
    copyFolder(instance.data, folder);
    return folder;
  }

  async remove(): Promise<void> {
    await this.instance.remove();
  }

  async #write(shard: number, value: number): Promise<void> {
    await this.#send(shard, value);
    this.values.push(value);
  }

  async #send(shard: number, value: number): Promise<void> {
    const second = (shardSeconds[shard] ?? 0) + this.values.length;
    const status = await this.instance.write("enc", `${measurement},host=a v=${value}i ${second}000000000`);
    if (status !== 204) throw new Error(`the write was answered with ${status}`);
  }

  async #untilInFiles(): Promise<void> {
    const folder = join(this.instance.data, "root/data/data/enc/autogen");
    for (const deadline = Date.now() + patienceMs; Date.now() < deadline; await sleep(100)) {
      const names = readdirSync(folder, { recursive: true, encoding: "utf8" });
      if (names.filter((name) => name.endsWith(".tsm")).length >= shardSeconds.length) return;
    }
    throw new Error("influxd writes no files of data");
  }
}

export function copyFolder(from: string, to: string): void {
  rmSync(to, { recursive: true, force: true });
  const { status, stderr } = spawnSync("cp", ["-a", "--reflink=auto", "--sparse=always", from, to], {
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(stderr);
}

/** Files and folders are given times of their own, which what they are stored as has too. */
function placesOf(mounted: string, tree: string): Map<string, string> {
  const paths = below(mounted);
  for (const [at, path] of paths.entries()) lutimesSync(join(mounted, path), firstTime + at, firstTime + at);
  const byTime = new Map(below(tree).map((path) => [timeOf(join(tree, path)), path]));
  return new Map(paths.map((path) => [path, byTime.get(timeOf(join(mounted, path))) ?? ""]));
}

/** In seconds: before anything that a test makes. */
const firstTime = 1_000_000_000;

function timeOf(path: string): bigint {
  return lstatSync(path, { bigint: true }).mtimeNs;
}

function below(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" });
}
