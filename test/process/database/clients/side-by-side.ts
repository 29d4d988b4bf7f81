/** An instance of `strongroom db serve` and a plain influxd with the same settings, both asked the same. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { InstanceInTest } from "../instance/served-instance.ts";
import { type Answer, exchange, header, type Question } from "../proxy/exchange.ts";
import { type RunningInfluxd, startInfluxd } from "../proxy/running-influxd.ts";
import type { Request } from "./requests/request.ts";

/** Each answer's own, or of one connection only. */
const volatile = new Set(["date", "request-id", "x-request-id", "connection", "keep-alive"]);

export class SideBySide {
  readonly instance: InstanceInTest;
  readonly plain: RunningInfluxd;
  #asked = 0;

  private constructor(instance: InstanceInTest, plain: RunningInfluxd) {
    this.instance = instance;
    this.plain = plain;
  }

  static async start(options: { readonly auth?: boolean } = {}): Promise<SideBySide> {
    const instance = await startInstance(options);
    try {
      return new SideBySide(instance, await startInfluxd(options));
    } catch (error) {
      await instance.remove();
      throw error;
    }
  }

  /** How many requests the instance has been asked. */
  get asked(): number {
    return this.#asked;
  }

  /** Asks both; returns what of the answers is unlike, with the request; undefined when nothing is. */
  async difference(request: Request): Promise<string | undefined> {
    this.#asked += 1;
    const served = await exchange(this.instance.port, request.ask);
    const plainly = request.plainly === undefined ? request.ask : request.plainly;
    const plain = plainly === null ? undefined : await exchange(this.plain.port, plainly);
    const found = [
      ...unlike("status", served.status, request.status ?? plain?.status),
      ...(plain === undefined ? [] : unlike("headers", headersOf(served), headersOf(plain, request.ask.lenient))),
      ...unlikeBodies(request, served, plain),
    ];
    return found.length === 0 ? undefined : [described(request.ask), ...found].join("\n  ");
  }

  async stop(): Promise<void> {
    await Promise.all([this.instance.remove(), this.plain.stop()]);
  }
}

/** An instance whose influxd has the same settings as that of `startInfluxd`. */
export async function startInstance({ auth = false }: { readonly auth?: boolean } = {}): Promise<InstanceInTest> {
  const instance = await InstanceInTest.make('influxd-config = "influxd.conf"\n');
  const settings = `[monitor]\nstore-enabled = false\n[http]\nauth-enabled = ${auth}\n`;
  writeFileSync(join(instance.folder, "influxd.conf"), settings);
  try {
    await instance.start();
  } catch (error) {
    await instance.remove();
    throw error;
  }
  return instance;
}

/** The body as text, decompressed where it is compressed. */
export function textOf(answer: Answer): string {
  return (header(answer, "content-encoding") === "gzip" ? gunzipSync(answer.bytes) : answer.bytes).toString("utf8");
}

function unlikeBodies({ body, same = "all" }: Request, served: Answer, plain: Answer | undefined): readonly string[] {
  if (body !== undefined) return unlike("body", textOf(served), body);
  if (same === "head" || plain === undefined) return [];
  if (same === "shape") return unlike("shape", shapeOf(served.text), shapeOf(plain.text));
  return served.bytes.equals(plain.bytes) ? [] : unlike("body", textOf(served), textOf(plain));
}

function unlike(what: string, served: unknown, plain: unknown): readonly string[] {
  const [left, right] = [served, plain].map((value) => JSON.stringify(value));
  return left === right ? [] : [`${what} of the instance: ${shortened(left)}`, `${what} awaited: ${shortened(right)}`];
}

function shortened(text = ""): string {
  return text.length > 1_500 ? `${text.slice(0, 1_500)}…` : text;
}

function described({ method = "GET", target, body }: Question): string {
  return shortened(`${method} ${target}${body === undefined ? "" : ` ${JSON.stringify(body.toString())}`}`);
}

/** In the order sent. InfluxDB itself puts the methods that it allows in any order. */
function headersOf(answer: Answer, withControls = false): readonly string[] {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what the instance does not pass on
  const legal = (value: string): string => (withControls ? value.replace(/[\x00-\x08\x0a-\x1f\x7f]/g, " ") : value);
  return answer.headers
    .filter(([name]) => !volatile.has(name.toLowerCase()))
    .map(([name, value]) => `${name}: ${name === "Allow" ? value.split(", ").sort().join(", ") : legal(value)}`);
}

/** Series and columns of an answer. */
function shapeOf(text: string): unknown {
  const answer: { results: readonly { series?: readonly { name?: string; columns: readonly string[] }[] }[] } =
    JSON.parse(text);
  return answer.results.map(({ series = [] }) => series.map(({ name, columns }) => ({ name, columns })));
}
