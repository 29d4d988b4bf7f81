import { lstatSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { InstanceInTest } from "../instance/served-instance.ts";
import { CanarySearch, type Found } from "./search.ts";

/** Where programs that do not heed TMPDIR leave files. */
const temporaryPlaces: readonly string[] = ["/tmp", "/var/tmp", "/dev/shm"];
const mostTemporaryBytes = 8 * 1024 * 1024;

/** An instance in a test, with all places outside memory where what is written to it could show. */
export class WatchedInstance {
  readonly instance: InstanceInTest;
  readonly #temporary: string;
  readonly #thereBefore: ReadonlySet<string>;
  #printed = "";

  /** To be made before the instance is started: takes this process's TMPDIR, which the instance inherits. */
  constructor(instance: InstanceInTest) {
    this.instance = instance;
    this.#temporary = join(instance.folder, "temporary");
    mkdirSync(this.#temporary);
    process.env.TMPDIR = this.#temporary;
    this.#thereBefore = new Set(temporaryEntries());
  }

  /**
   * Everywhere: the instance's folder but for what is mounted in it, temporary places, what it printed, its processes.
   *
   * @param packed - Unpack what looks compressed, which takes its time.
   */
  find(texts: ReadonlyMap<string, string>, packed: boolean): readonly Found[] {
    const search = new CanarySearch(texts, { packed });
    const quick = new CanarySearch(texts, { packed: false });
    const { instance } = this;
    this.#printed += instance.output;
    return [
      ...search.inFolders([instance.folder], { except: [join(instance.data, "root")] }),
      ...this.#newTemporaryFiles().flatMap((path) => quick.inBytes(bytesOf(path), path)),
      ...search.inBytes(Buffer.from(this.#printed), "what it printed"),
      ...this.processes().flatMap((pid) =>
        ["cmdline", "environ", "comm"]
          .map((file) => `/proc/${pid}/${file}`)
          .flatMap((path) => search.inBytes(bytesOf(path), path)),
      ),
    ];
  }

  /** What other tests have in folders of their own is not looked at: a program that heeds no TMPDIR makes files. */
  #newTemporaryFiles(): readonly string[] {
    return temporaryEntries().filter((path) => {
      const status = lstatSync(path, { throwIfNoEntry: false });
      return !this.#thereBefore.has(path) && status?.isFile() === true && status.size <= mostTemporaryBytes;
    });
  }

  /** In the backing folder alone. */
  findStored(texts: ReadonlyMap<string, string>): readonly Found[] {
    return new CanarySearch(texts).inFolders([join(this.instance.data, "store")]);
  }

  /** The one that serves, the volume's server and influxd. */
  processes(): readonly number[] {
    return readdirSync("/proc").flatMap((name) => {
      if (!/^\d+$/.test(name)) return [];
      try {
        const words = readFileSync(`/proc/${name}/cmdline`, "latin1");
        return words.includes(this.instance.folder) && Number(name) !== process.pid ? [Number(name)] : [];
      } catch {
        return [];
      }
    });
  }

  /** The process whose command line has a text. */
  process(text: string): number {
    const found = this.processes().find((pid) => readFileSync(`/proc/${pid}/cmdline`, "latin1").includes(text));
    if (found === undefined) throw new Error(`no process of the instance has ${text} in its command line`);
    return found;
  }

  get volumeServer(): number {
    return this.process("sealfs/server/main.ts");
  }

  get influxd(): number {
    return this.process("influxdb.conf");
  }
}

/** Of a file that may be gone by now. */
function bytesOf(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch {
    return Buffer.alloc(0);
  }
}

function temporaryEntries(): readonly string[] {
  return temporaryPlaces.flatMap((place) => readdirSync(place).map((name) => join(place, name)));
}
