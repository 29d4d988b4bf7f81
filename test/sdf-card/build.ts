/** Builds the test cipher card with gcc and makes cards for tests. See README.md beside this file. */
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** How each build of the card differs from the standard, as vendors' libraries do. */
const variants = {
  /** GM/T 0018-2012 as printed, every function; `ECCCipher` ends in `L; C[]`. */
  gmt0018: [],
  /** `int clength; C[32]`, all of it written. */
  fisco: ["-DCARD_LAYOUT=1"],
  /** `L; C[136]`, all of it written; a KEK needs an access right; SHA-384 and SHA-512 are 0x10 and 8. */
  sansec: ["-DCARD_LAYOUT=2", "-DCARD_KEK_RIGHT", "-DCARD_SHA384=0x10", "-DCARD_SHA512=8"],
  /** `clength, x, y, C[136], M[64]`, the rest as `sansec`. */
  "sansec-old": ["-DCARD_LAYOUT=3", "-DCARD_KEK_RIGHT", "-DCARD_SHA384=0x10", "-DCARD_SHA512=8"],
  /** InternalEncrypt without an algorithm; InternalDecrypt takes the key's type; SHA-384 and SHA-512 are 5 and 6. */
  openhitls: ["-DCARD_OPENHITLS", "-DCARD_SHA384=5", "-DCARD_SHA512=6"],
  /** No key agreement, files, ExternalSign, ImportKey, GetSymmKeyHandle. */
  minimal: ["-DCARD_MINIMAL"],
} as const satisfies Readonly<Record<string, readonly string[]>>;

export type SdfCardVariant = keyof typeof variants;
export const sdfCardVariants: readonly SdfCardVariant[] = Object.keys(variants) as SdfCardVariant[];

export interface SdfCardBuild {
  /** The GM/T 0018 library of the variant. */
  readonly library: string;
  /** `card-admin`: makes cards and keys. */
  readonly admin: string;
  /** `card-bench LIB INDEX THREADS SECONDS [--right-per-sign] < PIN`: signatures per second of a C loop. */
  readonly bench: string;
  /** `card-selftest`: the card's SM2 arithmetic on known answers. */
  readonly selftest: string;
}

const sources = import.meta.dirname;
const cache = join(sources, "../../node_modules/.cache/sdf-card");
const flags = ["-std=gnu11", "-O2", "-g", "-pthread", "-Wall", "-Wextra", "-Werror"];
const programs = ["admin.c", "bench.c", "selftest.c"];

/** Why the card can't be built on this machine, or false: what a test gives as its `skip`. */
export function sdfCardMissing(): string | false {
  if (spawnSync("gcc", ["--version"]).status !== 0) return "gcc is not installed";
  const header = spawnSync("gcc", ["-E", "-x", "c", "-"], { input: "#include <openssl/evp.h>\n" });
  return header.status === 0 ? false : "libssl-dev is not installed";
}

/**
 * Builds a variant of the card's library, and its programs, where the sources changed since the last time; else it takes
 * milliseconds. Several processes may call it at once.
 *
 * @throws {Error} With gcc's words when it fails.
 */
export function buildSdfCard(variant: SdfCardVariant = "gmt0018"): SdfCardBuild {
  const all = readdirSync(sources)
    .filter((name) => /\.[ch]$/.test(name))
    .sort();
  const hash = createHash("sha256");
  for (const name of [...all, "build.ts"]) hash.update(name).update(readFileSync(join(sources, name)));
  const folder = join(cache, hash.digest("hex").slice(0, 16));
  mkdirSync(folder, { recursive: true });

  const parts = all.filter((name) => name.endsWith(".c") && !programs.includes(name));
  const inLibrary = ["-fPIC", "-shared", "-fvisibility=hidden", ...variants[variant]];
  const name = variant === "gmt0018" ? "libgmt0018.so" : `libgmt0018-${variant}.so`;
  const arithmetic = ["store.c", "sm2.c"];
  return {
    library: compile(folder, name, [...inLibrary, ...parts], ["-lcrypto", "-ldl"]),
    admin: compile(folder, "card-admin", ["admin.c", ...arithmetic], ["-lcrypto"]),
    bench: compile(folder, "card-bench", ["bench.c"], ["-ldl"]),
    selftest: compile(folder, "card-selftest", ["selftest.c", ...arithmetic], ["-lcrypto"]),
  };
}

function compile(folder: string, name: string, args: readonly string[], libraries: readonly string[]): string {
  const made = join(folder, name);
  if (existsSync(made)) return made;
  const inProgress = `${made}.${process.pid}`;
  const options = { cwd: sources, encoding: "utf8" } as const;
  const gcc = spawnSync("gcc", [...flags, "-o", inProgress, ...args, ...libraries], options);
  if (gcc.status !== 0) throw new Error(`the test card can't be built: ${gcc.error?.message ?? gcc.stderr}`);
  renameSync(inProgress, made);
  return made;
}

export interface TestCard extends Disposable {
  /** A copy of the library that always finds this card, whatever the environment says. */
  readonly library: string;
  /** The card's memory. The file `faults` in it injects faults. */
  readonly dir: string;
  readonly bench: string;
  /** Replaces the faults of the running card by these words (README.md, "Faults"); none takes them away. */
  setFaults(...words: string[]): void;
  /** Runs `card-admin` on this card and returns what it printed. */
  admin(...args: string[]): string;
}

/**
 * Makes a card in a folder of its own under the system's temporary directory; disposing removes it.
 *
 * @param pin - The card's PIN, that of every index made without one.
 */
export function makeTestCard(pin: string, variant: SdfCardVariant = "gmt0018"): TestCard {
  const build = buildSdfCard(variant);
  const folder = mkdtempSync(join(tmpdir(), "sdf-card-"));
  const dir = join(folder, "card");
  const library = join(folder, "libgmt0018.so");
  copyFileSync(build.library, library);
  writeFileSync(join(folder, "sdf-card.dir"), `${dir}\n`);
  const admin = (...args: string[]): string =>
    execFileSync(build.admin, args, { encoding: "utf8", env: { ...process.env, SDF_CARD_DIR: dir } });
  admin("init", dir, "--pin", pin);
  return {
    library,
    dir,
    bench: build.bench,
    admin,
    setFaults: (...words) => {
      writeFileSync(join(folder, "faults"), words.join("\n"));
      renameSync(join(folder, "faults"), join(dir, "faults"));
    },
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}
