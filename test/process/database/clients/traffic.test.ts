import assert from "node:assert/strict";
import { Agent, request } from "node:http";
import { connect, type Socket } from "node:net";
import { after, before, describe, it } from "node:test";
import { createGzip, gzipSync } from "node:zlib";
import { type InstanceInTest, skip } from "../instance/served-instance.ts";
import { answered, exchange, header, query } from "../proxy/exchange.ts";
import { startInstance } from "./side-by-side.ts";

const databases = ["enc", "noenc"] as const;

describe("heavy and broken traffic to a served instance", { skip }, () => {
  let instance: InstanceInTest;
  before(async () => {
    instance = await startInstance();
    await instance.query("CREATE DATABASE enc WITH ENCRYPTION ON; CREATE DATABASE noenc");
  });
  after(() => instance.remove());

  const counted = async (database: string, measurement: string): Promise<number> => {
    const answer = JSON.parse(
      (await query(instance.port, `SELECT count(v) FROM ${measurement}`, { db: database })).text,
    );
    return answer.results[0].series?.[0].values[0][1] ?? 0;
  };
  const write = (database: string, body: string | Buffer, headers: Readonly<Record<string, string>> = {}) =>
    exchange(instance.port, { method: "POST", target: `/write?db=${database}&precision=s`, headers, body });
  /** Until an eventual state is there: influxd may still be at work for a client that has gone. */
  async function eventually(what: string, holds: () => Promise<boolean>): Promise<void> {
    for (let tries = 0; !(await holds()); tries++) {
      assert.ok(tries < 400, what);
      await new Promise((resume) => setTimeout(resume, 50));
    }
  }
  const idle = () =>
    eventually("queries still run", async () => {
      const { text } = await query(instance.port, "SHOW QUERIES");
      return JSON.parse(text).results[0].series[0].values.length === 1;
    });

  it("takes what Telegraf sends: compressed batches over one kept connection, of two databases in turn", async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (let batch = 0; batch < 40; batch++) {
      const lines = Array.from(
        { length: 1_000 },
        (_, at) =>
          `telegraf,host=h${at % 10},cpu=cpu${at % 4} v=${at}i,idle=${at / 7} ${1_700_000_000 + batch * 1_000 + at}`,
      );
      const headers = {
        "User-Agent": "Telegraf/1.20.0 Go/1.17",
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Encoding": "gzip",
      };
      const target = `/write?consistency=any&db=${databases[batch % 2]}&precision=s`;
      const body = gzipSync(`${lines.join("\n")}\n`);
      assert.equal((await exchange(instance.port, { method: "POST", target, headers, body, agent })).status, 204);
    }
    agent.destroy();
    for (const database of databases) assert.equal(await counted(database, "telegraf"), 20_000);
  });

  it("takes a compressed stream without a length", async () => {
    const outgoing = request({
      ...{ host: "127.0.0.1", port: instance.port, method: "POST", path: "/write?db=enc&precision=s" },
      headers: { "Content-Encoding": "gzip" },
    });
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    outgoing.on("response", (incoming) => resolve(incoming.resume().statusCode ?? 0));
    outgoing.on("error", reject);
    const zip = createGzip();
    zip.pipe(outgoing);
    for (let at = 0; at < 5_000; at++) zip.write(`streamed v=${at}i ${at}\n`);
    zip.end();
    assert.equal(await promise, 204);
    assert.equal(await counted("enc", "streamed"), 5_000);
  });

  it("takes bodies of 25 MB, and refuses a longer one as influxd does", async () => {
    const line = (at: number): string => `big,h=${"x".repeat(80)} v=${at}i ${at}\n`;
    const lines = Buffer.from(Array.from({ length: 240_000 }, (_, at) => line(at)).join(""));
    assert.ok(lines.length > 24_000_000 && lines.length < 25_000_000, String(lines.length));
    for (const database of databases) {
      assert.equal((await write(database, lines)).status, 204);
      assert.equal(await counted(database, "big"), 240_000);
    }
    const zipped = await write("enc", gzipSync(lines, { level: 1 }), { "Content-Encoding": "gzip" });
    assert.equal(zipped.status, 204);
    const tooLong = await answered(() => write("enc", Buffer.concat([lines, lines.subarray(0, 2_000_000)])));
    assert.equal(tooLong.status, 413);
    assert.match(tooLong.text, /Request Entity Too Large/i);
  });

  it("answers with all of a long result, whole and in chunks", async () => {
    const q = encodeURIComponent("SELECT v FROM big");
    const whole = await exchange(instance.port, { target: `/query?db=enc&epoch=s&q=${q}` });
    assert.equal(whole.status, 200);
    assert.equal(JSON.parse(whole.text).results[0].series[0].values.length, 240_000);
    const chunked = await exchange(instance.port, { target: `/query?db=enc&epoch=s&chunked=true&q=${q}` });
    const rows = chunked.text
      .trim()
      .split("\n")
      .flatMap((each) => JSON.parse(each).results[0].series[0].values);
    assert.equal(rows.length, 240_000);
    assert.deepEqual(rows.at(-1), [239_999, 239_999]);
  });

  it("serves fifty clients at once that write, read, make and drop databases", async () => {
    await Promise.all(
      Array.from({ length: 50 }, async (_, client) => {
        const agent = new Agent({ keepAlive: true, maxSockets: 1 });
        const ask = (method: string, target: string, body?: string) =>
          exchange(instance.port, { method, target, body, agent });
        const own = `own${client}`;
        if (client % 10 === 0) {
          const made = await ask("POST", `/query?q=CREATE+DATABASE+${own}+WITH+ENCRYPTION+ON`);
          assert.equal(made.text, '{"results":[{"statement_id":0}]}\n');
        }
        for (let at = 0; at < 8; at++) {
          const database = client % 10 === 0 ? own : databases[client % 2];
          const line = `many,c=${client} v=${at}i ${at + 1}000000000\n`;
          assert.equal((await ask("POST", `/write?db=${database}`, line)).status, 204);
          const q = encodeURIComponent(`SELECT count(v) FROM many WHERE c = '${client}'`);
          const { text } = await ask("GET", `/query?db=${database}&q=${q}`);
          assert.equal(JSON.parse(text).results[0].series[0].values[0][1], at + 1);
          assert.equal((await ask("GET", "/ping")).status, 204);
        }
        if (client % 10 === 0) assert.equal((await ask("POST", `/query?q=DROP+DATABASE+${own}`)).status, 200);
        agent.destroy();
      }),
    );
    assert.equal((await counted("enc", "many")) + (await counted("noenc", "many")), 45 * 8);
    const shown = JSON.parse((await query(instance.port, "SHOW DATABASES")).text).results[0].series[0].values;
    assert.deepEqual(shown, [
      ["enc", true],
      ["noenc", false],
    ]);
  });

  it("answers requests that are sent before the answer to the one before, in their order", async () => {
    const socket = connect(instance.port, "127.0.0.1");
    const body = "pipe v=1i 1000000000\n";
    const select = (q: string) => `GET /query?db=enc&q=${encodeURIComponent(q)} HTTP/1.1\r\nHost: x\r\n`;
    const asked = [
      `POST /write?db=enc HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      `${select("SHOW DATABASES")}\r\n`,
      `${select("SELECT count(v) FROM big")}\r\n`,
      "GET /ping HTTP/1.1\r\nHost: x\r\n\r\n",
      `${select("CREATE DATABASE piped WITH ENCRYPTION ON")}\r\n`,
      `${select("DROP DATABASE piped")}\r\n`,
      `${select("SELECT v FROM pipe")}Connection: close\r\n\r\n`,
    ];
    const answer = answerOf(socket);
    socket.write(asked.join(""));
    const text = await answer;
    assert.deepEqual(
      text.match(/^HTTP\/1\.1 \d+/gm)?.map((line) => line.slice(9)),
      ["204", "200", "200", "204", "200", "200", "200"],
    );
    const places = ['["enc",true]', "240000", "deprecated", '"name":"pipe"'].map((each) => text.indexOf(each));
    assert.ok(!places.includes(-1), text);
    assert.deepEqual(
      places.toSorted((left, right) => left - right),
      places,
    );
  });

  it("tells what can't be read after the answers before it, and closes the connection", async () => {
    const socket = connect(instance.port, "127.0.0.1");
    const answer = answerOf(socket);
    socket.write("GET /query?q=SHOW+USERS HTTP/1.1\r\nHost: x\r\n\r\nno HTTP at all\r\n\r\n");
    const text = await answer;
    assert.match(
      text,
      /^HTTP\/1\.1 200 OK[\s\S]*"columns":\["user","admin"\][\s\S]*HTTP\/1\.1 400 Bad Request[\s\S]*well-formed/,
    );
    const spaces = connect(instance.port, "127.0.0.1");
    const refused = answerOf(spaces);
    spaces.write('GET /query?q=SELECT * FROM "名" HTTP/1.1\r\nHost: x\r\n\r\n');
    assert.match(await refused, /^HTTP\/1\.1 400 Bad Request[\s\S]*\{"error":"/);
    const chunk = connect(instance.port, "127.0.0.1");
    const broken = answerOf(chunk);
    chunk.write("POST /write?db=enc HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nm v=1\r\nzz\r\n");
    assert.doesNotMatch(await broken, /^HTTP\/1\.1 2/);
    await idle();
  });

  it("waits for the go-ahead that curl asks for before a large body", async () => {
    const outgoing = request({
      ...{ host: "127.0.0.1", port: instance.port, method: "POST", path: "/write?db=enc" },
      headers: { Expect: "100-continue", "Content-Length": 11 },
    });
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    outgoing.on("continue", () => outgoing.end("waited v=1i"));
    outgoing.on("response", (incoming) => resolve(incoming.resume().statusCode ?? 0));
    outgoing.on("error", reject);
    outgoing.flushHeaders();
    assert.equal(await promise, 204);
  });

  it("outlives clients that go away in the middle of a request, and keeps nothing of what they sent", async () => {
    const requests = [
      "POST /write?db=enc HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\n\r\ngone v=1i 1\ngone v=",
      "POST /write?db=noenc HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nc\r\ngone v=1i 1\n\r\n",
      `POST /write?db=enc HTTP/1.1\r\nHost: x\r\nContent-Length: 20000000\r\n\r\n${"gone v=1i 1\n".repeat(200_000)}`,
      "POST /query HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 99\r\n\r\nq=DROP+DATABASE+enc",
      "POST /query HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 99\r\n\r\n--b\r\n",
      "GET /query?q=SHOW+DATA",
      "POST /write?db=enc HTTP/1.1\r\nHost: x\r\nContent-Le",
    ];
    for (const text of [...requests, ...requests]) {
      const socket = connect(instance.port, "127.0.0.1").on("error", () => {});
      await new Promise<void>((resolve) => socket.write(text, () => resolve()));
      socket.destroy();
    }
    await idle();
    for (const database of databases) assert.equal(await counted(database, "gone"), 0);
    assert.match((await query(instance.port, "SHOW DATABASES")).text, /\["enc",true\],\["noenc",false\]/);
  });

  it("ends influxd's work for clients that go away in the middle of an answer", async () => {
    const q = encodeURIComponent("SELECT * FROM big");
    await Promise.all(
      Array.from({ length: 12 }, async (_, at) => {
        // Not in chunks, influxd gathers all of the answer before it sends any.
        const more = at < 10 ? "&chunked=true&chunk_size=10" : "";
        const path = `/query?db=${databases[at % 2]}&q=${q}${more}`;
        const outgoing = request({ host: "127.0.0.1", port: instance.port, path, agent: false });
        outgoing.on("error", () => {});
        const { promise, resolve } = Promise.withResolvers<void>();
        outgoing.on("response", (incoming) => incoming.once("data", () => resolve()).on("error", () => {}));
        outgoing.end();
        await promise;
        outgoing.destroy();
      }),
    );
    await idle();
    assert.equal((await write("enc", "after v=1i")).status, 204);
  });

  it("lets a client read as slowly as it likes without reading ahead for it, and others go on meanwhile", async () => {
    const socket = connect(instance.port, "127.0.0.1");
    const q = encodeURIComponent("SELECT * FROM big");
    socket.pause();
    socket.write(`GET /query?db=enc&chunked=true&q=${q} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    for (let at = 0; at < 20; at++) assert.equal((await write("enc", `meanwhile v=${at}i ${at}`)).status, 204);
    assert.match((await query(instance.port, "SHOW QUERIES")).text, /FROM .*big/);
    const text = await answerOf(socket);
    assert.ok(text.split('"partial":true').length > 10);
    assert.match(text, /\r\n0\r\n\r\n$/);
    assert.equal(await counted("enc", "meanwhile"), 20);
  });

  it("keeps a connection for later, and says so", async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const sockets = new Set<unknown>();
    agent.on("free", (socket) => sockets.add(socket));
    for (const target of ["/ping", "/query?q=SHOW+DATABASES", "/query?q=SHOW+USERS", "/nosuch", "/query"]) {
      const answer = await exchange(instance.port, { target, agent });
      assert.equal(header(answer, "connection")?.toLowerCase(), "keep-alive", target);
    }
    assert.equal(sockets.size, 1);
    agent.destroy();
  });
});

/** All that comes over a connection until it ends. */
function answerOf(socket: Socket): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.on("error", reject);
  socket.on("close", () => resolve(Buffer.concat(chunks).toString("utf8")));
  socket.resume();
  return promise;
}
