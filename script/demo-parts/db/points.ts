/** Points of the demo, with canaries in each place where a text may stand, and a client that goes on writing. */
import { randomBytes } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import type { Planted } from "../planted-bytes.ts";

/** Texts that stand nowhere else on this machine. */
export interface Canaries {
  readonly measurement: string;
  readonly tag: string;
  readonly field: string;
}

const pointsInFile = 2_000;
/** Apart, so that they lie in several shards: one is a week. */
const secondsBetweenPoints = 1_200;
const firstPointS = 1_767_225_600;

export function newCanaries(database: string): Canaries {
  const text = (what: string) => `${what}-of-${database}-${randomBytes(6).toString("hex")}`;
  return { measurement: text("measurement"), tag: text("tag"), field: text("field") };
}

export function plantedOf(canaries: Canaries): readonly Planted[] {
  return Object.entries(canaries).map(([name, text]) => ({ name, bytes: Buffer.from(text) }));
}

/** A file for `influx -import`. */
export function importFile(database: string, { measurement, tag, field }: Canaries): string {
  const lines = ["# DML", `# CONTEXT-DATABASE: ${database}`, "# CONTEXT-RETENTION-POLICY: autogen"];
  for (let index = 0; index < pointsInFile; index += 1)
    lines.push(
      `${measurement},place=${tag} level=${index}i,note="${field}" ${firstPointS + index * secondsBetweenPoints}000000000`,
    );
  return `${lines.join("\n")}\n`;
}

export { pointsInFile };

/** Writes one point after another over HTTP until it is stopped. */
export class Writer {
  readonly #url: string;
  readonly #done: Promise<void>;
  #stopped = false;
  acknowledged = 0;
  refused = 0;

  constructor(port: number, database: string) {
    this.#url = `http://127.0.0.1:${port}/write?db=${database}`;
    this.#done = this.#write();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
  }

  async #write(): Promise<void> {
    for (let index = 0; !this.#stopped; index += 1) {
      const answer = await fetch(this.#url, { method: "POST", body: `meanwhile n=${index}i ${index + 1}` });
      await answer.arrayBuffer();
      if (answer.status === 204) this.acknowledged += 1;
      else this.refused += 1;
      await pause(5);
    }
  }
}
