/**
 * How long a sealfs volume takes to open by its number of zones, and a folder its look-up by the number of rules: with one, and with
 * many, interleaved. Nothing is mounted.
 *
 *   node bench/zones.ts [--zones N] [--rounds N] [--suite intl|sm]
 *
 * Zones of both kinds: their keys wrapped by the volume's own key, and by an SM2 master key. Prints medians in milliseconds, of time and in
 * brackets of the processor's. Exit code 1 when a volume with many zones takes a second of the processor's or longer.
 */
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { generateKeyPair } from "../src/crypto/curve.ts";
import { SecretBuffer } from "../src/crypto/secret-buffer.ts";
import { suites } from "../src/crypto/suite.ts";
import { openKeyTable } from "../src/volume/sealfs/keys/open-table.ts";
import { Sm2Wrapper, softSm2Opener } from "../src/volume/sealfs/keys/sm2-wrapper.ts";
import { nodeTableSystem } from "../src/volume/sealfs/keys/table-system.ts";
import { makeSealedStore } from "../src/volume/sealfs/server/make-store.ts";
import { OpenedVolume, volumeIdBytes } from "../src/volume/sealfs/server/opened-volume.ts";

const { values: flags } = parseArgs({
  options: {
    zones: { type: "string", default: "10000" },
    rounds: { type: "string", default: "5" },
    suite: { type: "string", default: "sm" },
  },
});
const many = Number(flags.zones);
const rounds = Number(flags.rounds);
const suite = flags.suite === "intl" ? "intl" : "sm";
const mostMs = 1000;
const lookUps = 20_000;
const kinds = ["table-sealed", "sealed"] as const;
type Kind = (typeof kinds)[number];

const work = mkdtempSync(join(tmpdir(), "strongroom-bench-zones-"));
const tableKey = SecretBuffer.random(32);
const master = generateKeyPair("sm2");
const wrapperOf = (kind: Kind) =>
  kind === "sealed"
    ? new Sm2Wrapper(
        master.publicKey,
        softSm2Opener(master.publicKey, () => master.scalar),
      )
    : undefined;
const pathOf = (zone: number) => ["data", "data", "db", "autogen", String(zone)];

interface Span {
  readonly ms: number;
  readonly cpuMs: number;
}

function now(): Span {
  const { user, system } = process.cpuUsage();
  return { ms: performance.now(), cpuMs: (user + system) / 1000 };
}

/** A store with so many zones, and as many rules, of which none is the zones'. */
class Store {
  readonly handover = {
    store: join(work, String(Math.random()).slice(2)),
    mountPoint: "/",
    volumeId: "00010203-0405-4607-8809-0a0b0c0d0e0f",
    suite,
    layout: { blockBytes: 16_384, integrity: "tree" },
    names: "encrypted",
  } as const;
  readonly kind: Kind;
  readonly count: number;
  readonly #spans = new Map<string, Span[]>();

  constructor(kind: Kind, count: number) {
    this.kind = kind;
    this.count = count;
  }

  async make(): Promise<void> {
    const { store, volumeId } = this.handover;
    const rules = Array.from({ length: this.count }, (_, at) => ({
      pattern: `data/r${at}/*`,
      becomes: "plain" as const,
    }));
    const keyHolder = this.kind === "sealed" ? { keyHolder: { publicKey: master.publicKey } } : {};
    await makeSealedStore(this.handover, tableKey, { rules, ...keyHolder });
    // Each zone is durable when it is made; that is not what is measured here.
    const system = { ...nodeTableSystem, sync() {} };
    const place = { folder: store, volumeId: volumeIdBytes(volumeId), suite: suites[suite], tableKey, system };
    const wrapper = wrapperOf(this.kind);
    using table = await openKeyTable(wrapper === undefined ? place : { ...place, wrapper });
    for (let zone = 0; zone < this.count; zone++) table.makeZone(pathOf(zone), this.kind).key?.[Symbol.dispose]();
    table.compact();
  }

  get tableBytes(): number {
    return statSync(join(this.handover.store, "keys")).size;
  }

  async round(isCounted: boolean): Promise<void> {
    let before = now();
    const lap = (what: string) => {
      const { ms, cpuMs } = now();
      const span = { ms: ms - before.ms, cpuMs: cpuMs - before.cpuMs };
      if (isCounted) this.#spans.set(what, [...(this.#spans.get(what) ?? []), span]);
      before = { ms, cpuMs };
    };
    const volume = await OpenedVolume.open(this.handover, tableKey, () => {}, "serve", wrapperOf(this.kind));
    lap("open");
    const { keys } = volume;
    for (let look = 0; look < lookUps; look++) keys.table.rules.match(["data", `r${look % this.count}`, "x"]);
    lap(`${lookUps} rule look-ups`);
    for (let look = 0; look < lookUps; look++) keys.table.zoneOf([...pathOf(look % this.count), "000001.tsm"]);
    lap(`${lookUps} zone look-ups`);
    for (let zone = 0; zone < this.count; zone++) {
      const found = keys.zoneOf(pathOf(zone)).keys;
      found?.fileCipher(found.generation, Buffer.alloc(16, 1), Buffer.alloc(16, 2))[Symbol.dispose]();
    }
    lap("first use of every zone");
    volume.close();
    lap("close");
  }

  median(what: string, of: keyof Span): number {
    const spans = (this.#spans.get(what) ?? []).map((span) => span[of]).sort((one, other) => one - other);
    return spans[spans.length >> 1] ?? Number.NaN;
  }

  shown(what: string): string {
    return `${this.median(what, "ms").toFixed(1)} (${this.median(what, "cpuMs").toFixed(1)})`.padStart(20);
  }

  get measures(): readonly string[] {
    return [...this.#spans.keys()];
  }
}

try {
  let isSlow = false;
  for (const kind of kinds) {
    const [one, all] = [new Store(kind, 1), new Store(kind, many)];
    for (const store of [one, all]) await store.make();
    for (let round = 0; round <= rounds; round++) for (const store of [one, all]) await store.round(round > 0);
    console.log(
      `\n${kind}, suite ${suite}: medians of ${rounds}, ms (key table ${one.tableBytes} and ${all.tableBytes} bytes)`,
    );
    console.log(`${"".padEnd(28)}${"1 zone".padStart(20)}${`${many} zones`.padStart(20)}`);
    for (const what of all.measures) console.log(`${what.padEnd(28)}${one.shown(what)}${all.shown(what)}`);
    isSlow ||= all.median("open", "cpuMs") >= mostMs;
  }
  if (isSlow) process.exitCode = 1;
} finally {
  tableKey[Symbol.dispose]();
  master.scalar[Symbol.dispose]();
  rmSync(work, { recursive: true, force: true });
}
