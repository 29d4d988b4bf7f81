import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { Agent, createServer, request, type Server } from "node:http";
import { connect } from "node:net";
import { after, before, describe, it } from "node:test";
import { gunzipSync, gzipSync } from "node:zlib";
import { DatabaseProxy } from "../../../../src/database/proxy/proxy.ts";
import type { ProxyEvent } from "../../../../src/database/proxy/query-door.ts";
import { answered, exchange, header, query } from "./exchange.ts";
import { CatalogueInMemory, type RunningInfluxd, skip, startInfluxd } from "./running-influxd.ts";

const loopback = { host: "127.0.0.1", port: 0 };

describe("traffic through the proxy", { skip }, () => {
  let influxd: RunningInfluxd;
  let proxy: DatabaseProxy;
  before(async () => {
    influxd = await startInfluxd();
    proxy = await DatabaseProxy.open({ influxd, listen: loopback, catalogue: new CatalogueInMemory() });
    await query(proxy.port, "CREATE DATABASE d");
  });
  after(async () => {
    await proxy.close();
    await influxd.stop();
  });

  const write = (body: Buffer | string, headers: Readonly<Record<string, string>> = {}, agent?: Agent) =>
    exchange(proxy.port, {
      method: "POST",
      target: "/write?db=d&precision=s",
      headers,
      body,
      ...(agent === undefined ? {} : { agent }),
    });
  const counted = async (measurement: string): Promise<number> => {
    const answer = JSON.parse((await query(proxy.port, `SELECT count(v) FROM ${measurement}`, { db: "d" })).text);
    return answer.results[0].series?.[0].values[0][1] ?? 0;
  };

  it("carries a body of 25 MB, the most that influxd takes, and influxd's own refusal of a longer one", async () => {
    const line = (at: number): string => `big,h=${"x".repeat(80)} v=${at}i ${at}\n`;
    const lines = Buffer.from(Array.from({ length: 240_000 }, (_, at) => line(at)).join(""));
    assert.ok(lines.length > 24_000_000 && lines.length < 25_000_000, String(lines.length));
    assert.equal((await write(lines)).status, 204);
    assert.equal(await counted("big"), 240_000);
    const tooLong = await answered(() => write(Buffer.concat([lines, lines.subarray(0, 2_000_000)])));
    assert.equal(tooLong.status, 413);
  });

  it("leaves compressed writes and compressed answers compressed", async () => {
    const body = gzipSync("zip v=1 1\nzip v=2 2\n");
    assert.equal((await write(body, { "Content-Encoding": "gzip", "User-Agent": "Telegraf/1.8.0" })).status, 204);
    assert.equal(await counted("zip"), 2);
    const target = `/query?db=d&q=${encodeURIComponent("SELECT * FROM zip")}`;
    const answer = await exchange(proxy.port, { target, headers: { "Accept-Encoding": "gzip" } });
    assert.equal(header(answer, "content-encoding"), "gzip");
    assert.match(gunzipSync(answer.bytes).toString(), /"values":\[\[/);
  });

  it("serves fifty clients at once over kept connections", async () => {
    const agents = Array.from({ length: 50 }, () => new Agent({ keepAlive: true, maxSockets: 1 }));
    await Promise.all(
      agents.map(async (agent, client) => {
        for (let at = 0; at < 10; at++) {
          assert.equal((await write(`many,c=${client} v=${at} ${at}`, {}, agent)).status, 204);
          const answer = await exchange(proxy.port, { target: "/ping", agent });
          assert.equal(answer.status, 204);
        }
        agent.destroy();
      }),
    );
    assert.equal(await counted("many"), 500);
  });

  it("passes a chunked request and chunked answers on piece by piece", async () => {
    const outgoing = request({ host: "127.0.0.1", port: proxy.port, method: "POST", path: "/write?db=d" });
    const { promise, resolve } = Promise.withResolvers<number>();
    outgoing.on("response", (incoming) => resolve(incoming.resume().statusCode ?? 0));
    outgoing.write("pieces v=1 1\n");
    outgoing.write("pieces v=2 2\n");
    outgoing.end();
    assert.equal(await promise, 204);
    const target = `/query?db=d&chunked=true&chunk_size=100&q=${encodeURIComponent("SELECT v FROM big LIMIT 1000")}`;
    const [proxied, direct] = await Promise.all([exchange(proxy.port, { target }), exchange(influxd.port, { target })]);
    assert.equal(proxied.text, direct.text);
    assert.equal(proxied.text.trim().split("\n").length, 10);
  });

  it("ends influxd's query when the client goes away in the middle of the answer", async () => {
    const target = `/query?db=d&chunked=true&chunk_size=10&q=${encodeURIComponent("SELECT * FROM big")}`;
    const outgoing = request({ host: "127.0.0.1", port: proxy.port, path: target });
    const { promise, resolve } = Promise.withResolvers<void>();
    outgoing.on("response", (incoming) => incoming.once("data", () => resolve()));
    outgoing.on("error", () => {});
    outgoing.end();
    await promise;
    outgoing.destroy();
    for (let tries = 0; ; tries++) {
      const running = (await query(proxy.port, "SHOW QUERIES")).text;
      if (!running.includes("FROM big")) break;
      assert.ok(tries < 1000, running);
      await new Promise((resume) => setTimeout(resume, 50));
    }
  });

  it("outlives clients that send nonsense, half a request, or go away while they write", async () => {
    for (const text of [
      "\0\0\0\r\n\r\n",
      "GET /query?q=SHOW",
      "POST /write?db=d HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nm v=",
      "POST /query HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 99\r\n\r\nq=SHOW",
    ]) {
      const socket = connect(proxy.port, "127.0.0.1");
      socket.on("error", () => {});
      await new Promise<void>((resolve) => socket.write(text, () => resolve()));
      socket.destroy();
    }
    for (let at = 0; at < 20; at++) {
      const headers = { "Content-Type": "multipart/form-data; boundary=x" };
      await exchange(proxy.port, { method: "POST", target: "/query", headers, body: randomBytes(200) });
    }
    assert.equal((await exchange(proxy.port, { target: "/ping" })).status, 204);
  });

  it("answers a client that speaks HTTP/1.0 without chunks and then closes", async () => {
    const { promise, resolve } = Promise.withResolvers<string>();
    const socket = connect(proxy.port, "127.0.0.1");
    let text = "";
    socket.on("data", (chunk: Buffer) => {
      text += chunk;
    });
    socket.on("close", () => resolve(text));
    socket.write("GET /query?q=SHOW+DATABASES HTTP/1.0\r\n\r\n");
    const [head = "", body = ""] = (await promise).split("\r\n\r\n");
    assert.match(head, /^HTTP\/1\.1 200 OK/);
    assert.doesNotMatch(head, /chunked/i);
    assert.match(body, /^\{"results":.*\["d",false\].*\}\n$/);
  });

  it("lets go, when it is closed, of clients that do not", async () => {
    const other = await DatabaseProxy.open({ influxd, listen: loopback, catalogue: new CatalogueInMemory() });
    const slow = request({ host: "127.0.0.1", port: other.port, method: "POST", path: "/write?db=d" });
    slow.on("error", () => {});
    await new Promise<void>((resolve) => slow.write("m v=", () => resolve()));
    await other.close(50);
    await assert.rejects(exchange(other.port, { target: "/ping" }));
  });

  it("refuses a form that is longer than influxd reads", async () => {
    const headers = { "Content-Type": "application/x-www-form-urlencoded" };
    const body = `q=SHOW+DATABASES&x=${"y".repeat(11_000_000)}`;
    const answer = await exchange(proxy.port, { method: "POST", target: "/query", headers, body });
    assert.equal(answer.status, 413);
  });
});

describe("the proxy when influxd fails", { skip }, () => {
  it("says so, and works again when influxd is back", async () => {
    const influxd = await startInfluxd();
    const proxy = await DatabaseProxy.open({ influxd, listen: loopback, catalogue: new CatalogueInMemory() });
    await influxd.kill();
    for (const target of ["/ping", "/query?q=SHOW%20DATABASES", "/query?q=CREATE%20DATABASE%20x%20ENCRYPTION%20ON"]) {
      const answer = await exchange(proxy.port, { target });
      assert.equal(answer.status, 502, target);
      assert.match(JSON.parse(answer.text).error, /influxd does not answer/);
    }
    await proxy.close();
    await influxd.stop();
  });

  /** Answers the question before the request as influxd does, then runs `atRequest` for the request itself. */
  async function standIn(atRequest: (server: Server) => "gone" | "made"): Promise<{ server: Server; port: number }> {
    let made = false;
    const server = createServer((incoming, response) => {
      let body = "";
      incoming.on("data", (chunk: Buffer) => {
        body += chunk;
      });
      incoming.on("end", () => {
        const q = new URLSearchParams(body).get("q") ?? "";
        const values = made ? '"values":[["enc"]]' : '"values":[]';
        const list = `{"statement_id":0,"series":[{"name":"databases","columns":["name"],${values}}]}`;
        if (q.includes("KILL QUERY")) response.end(`{"results":[${list},{"statement_id":1,"error":"not executed"}]}`);
        else if (q === "SHOW DATABASES") response.end(`{"results":[${list}]}`);
        else {
          made = atRequest(server) === "made";
          incoming.socket.destroy();
        }
      });
    });
    const { promise, resolve } = Promise.withResolvers<void>();
    server.listen(0, "127.0.0.1", resolve);
    await promise;
    const address = server.address();
    return { server, port: typeof address === "object" && address !== null ? address.port : 0 };
  }

  for (const [state, rules, told] of [
    ["made the database before it died", ["enc"], 0],
    ["died without making the database", [], 0],
    ["died and stays away", ["enc"], 1],
  ] as const)
    it(`keeps the rule or not as influxd ${state}`, async () => {
      const catalogue = new CatalogueInMemory();
      const events: ProxyEvent[] = [];
      const { server, port } = await standIn((running) => {
        if (state.includes("stays away")) running.close();
        return state.startsWith("made") ? "made" : "gone";
      });
      const note = (event: ProxyEvent): number => events.push(event);
      const influxd = { host: "127.0.0.1", port };
      const proxy = await DatabaseProxy.open({ influxd, listen: loopback, catalogue, note });
      const answer = await query(proxy.port, "CREATE DATABASE enc WITH ENCRYPTION ON");
      assert.equal(answer.status, 502);
      assert.deepEqual([...catalogue.rules], rules);
      assert.deepEqual(
        events.map((event) => event.what),
        Array.from({ length: told }, () => "rule kept"),
      );
      await proxy.close();
      server.close();
      server.closeAllConnections();
    });

  it("finishes what a client that went away has begun", async () => {
    const influxd = await startInfluxd();
    const catalogue = new CatalogueInMemory();
    const proxy = await DatabaseProxy.open({ influxd, listen: loopback, catalogue });
    const reached = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    catalogue.beforeCreate = async () => {
      reached.resolve();
      await goOn.promise;
    };
    const target = `/query?q=${encodeURIComponent("CREATE DATABASE enc WITH ENCRYPTION ON")}`;
    const headers = { "Content-Length": 3 };
    const outgoing = request({ host: "127.0.0.1", port: proxy.port, method: "POST", path: target, headers });
    outgoing.on("error", () => {});
    outgoing.end("any");
    await reached.promise;
    outgoing.destroy();
    goOn.resolve();
    for (let tries = 0; !(await query(influxd.port, "SHOW DATABASES")).text.includes('"enc"'); tries++) {
      assert.ok(tries < 1000, "the database is not made");
      await new Promise((resume) => setTimeout(resume, 20));
    }
    assert.deepEqual([...catalogue.rules], ["enc"]);
    await proxy.close();
    await influxd.stop();
  });
});
