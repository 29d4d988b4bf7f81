import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { encodePair, goText, readForm, trimmed } from "../../../../src/database/proxy/form.ts";
import { boundaryOf, readMultipart } from "../../../../src/database/proxy/multipart.ts";
import { NameLocks } from "../../../../src/database/proxy/name-locks.ts";
import { hasForm, readQueryRequest } from "../../../../src/database/proxy/query-request.ts";
import { scaled, seed } from "../../../run-settings.ts";

const urlencoded = "application/x-www-form-urlencoded";
const one = (target: string, body?: string, contentType = urlencoded) => {
  const incoming = { target, contentType, body: body === undefined ? undefined : Buffer.from(body, "latin1") };
  return readQueryRequest(incoming).found[0];
};

describe("a form", () => {
  it("is read back as written", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }))), (pairs) => {
        const wellFormed = pairs.filter((pair) => pair.every((each) => each.isWellFormed()));
        const raw = wellFormed.map(([name, value]) => encodePair(name, value)).join("&");
        assert.deepEqual(
          readForm(raw, "spoils").map(({ name, value }) => [name, value]),
          wellFormed,
        );
      }),
      { seed, numRuns: scaled(4_000) },
    );
  });

  it("loses pairs with broken escapes, and with raw semicolons or not as Go's version has it", () => {
    const pairs = (raw: string, semicolon: "separates" | "spoils") =>
      readForm(raw, semicolon).map(({ name, value }) => `${name}=${value}`);
    assert.deepEqual(pairs("a=%zz&b=1&%4=c&=d&&e&q=a+b%2B", "spoils"), ["b=1", "=d", "e=", "q=a b+"]);
    assert.deepEqual(pairs("a=1;b=2&c=3", "spoils"), ["c=3"]);
    assert.deepEqual(pairs("a=1;b=2&c=3", "separates"), ["a=1", "b=2", "c=3"]);
  });

  it("has one replacement character for every byte that is no UTF-8", () => {
    assert.equal(
      goText(Buffer.from([0xff, 0xfe, 0x61, 0xe2, 0x82, 0x62, 0xc0, 0x80])),
      "\ufffd\ufffda\ufffd\ufffdb\ufffd\ufffd",
    );
    assert.equal(goText(Buffer.from([0xed, 0xa0, 0x80])), "\ufffd\ufffd\ufffd");
    assert.equal(goText(Buffer.from("é漢😀\ufffd")), "é漢😀\ufffd");
  });

  it("is trimmed of what Go takes for space", () => {
    assert.equal(trimmed("\u0085\v\u00a0 a\u2003b \r\n\u3000"), "a\u2003b");
    assert.equal(trimmed("\ufeffa"), "\ufeffa");
  });
});

describe("a request to /query", () => {
  it("has the query of the body before that of the target", () => {
    assert.equal(one("/query?q=a&db=x", "q=b")?.text, "b");
    assert.equal(one("/query?q=a&db=x", "q=b")?.database, "x");
    assert.equal(one("/query?q=a", "z=b")?.text, "a");
    assert.equal(one("/query?q=a", undefined)?.text, "a");
    assert.equal(one("http://host:1/query?q=a")?.text, "a");
  });

  it("without a query is none", () => {
    for (const target of ["/query", "/query?q=", "/query?q=%20%0a", "/query?Q=a", "/query?q=%"])
      assert.equal(one(target), undefined);
  });

  it("keeps every other byte when its text changes", () => {
    const inTarget = one("/query?a=%zz&q=x+y&q=z&db=%41")?.withText("ä b");
    assert.equal(inTarget?.target, "/query?a=%zz&q=%C3%A4%20b&q=z&db=%41");
    const inBody = one("/query?q=n&u=1", "a=%zz&q=x;&db=%41&q=b")?.withText("c");
    assert.deepEqual([inBody?.target, inBody?.body?.toString()], ["/query?q=n&u=1", "a=%zz&q=x;&db=%41&q=c"]);
  });

  it("is ambiguous when a raw semicolon makes a difference, and only then", () => {
    const ambiguous = (target: string) => readQueryRequest({ target, contentType: "", body: undefined }).ambiguous;
    assert.ok(ambiguous("/query?q=a;b"));
    assert.ok(ambiguous("/query?q=a&db=x;"));
    assert.equal(ambiguous("/query?q=a&x=;"), false);
    assert.equal(ambiguous("/query?q=a%3Bb"), false);
  });

  it("as multipart has the fields of the target first, and becomes a form when its text changes", () => {
    const part = (name: string, value: string, more = "") =>
      `--B\r\nContent-Disposition: form-data; name="${name}"${more}\r\n\r\n${value}\r\n`;
    const type = "multipart/form-data; boundary=B";
    const query = one("/query?db=d", `${part("q", "a;b")}${part("db", "no")}${part("params", "{}")}--B--`, type);
    assert.deepEqual([query?.text, query?.database, query?.rawParameters], ["a;b", "d", "{}"]);
    const changed = query?.withText("c d");
    assert.deepEqual([changed?.contentType, changed?.body?.toString()], [urlencoded, "q=c%20d&params=%7B%7D"]);
    const file = one("/query", `${part("q", " f ", '; filename="x"')}--B--`, type);
    assert.equal(file?.text, " f ");
    assert.equal(one("/query", `${part("q", "x")}--C--`, type), undefined);
  });

  it("looks for fields in the bodies that Go looks into", () => {
    assert.ok(hasForm("POST", `${urlencoded}; charset=utf-8`));
    assert.ok(hasForm("POST", 'multipart/form-data; boundary="a b"'));
    assert.equal(hasForm("GET", urlencoded), false);
    assert.equal(hasForm("POST", "application/x-www-form-urlencodedx"), false);
    assert.equal(hasForm("POST", ""), false);
    assert.equal(boundaryOf(`multipart/form-data; boundary=${"x".repeat(71)}`), undefined);
  });

  it("of any bytes is read or not, but never with an error", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), fc.constantFrom("B", "--", "\\"), (bytes, boundary) => {
        const body = Buffer.concat([
          Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name=q\r\n\r\n`),
          bytes,
        ]);
        readMultipart(body, boundary);
        readQueryRequest({ target: "/query?", contentType: urlencoded, body: Buffer.from(bytes) });
        readQueryRequest({
          target: `/query?${Buffer.from(bytes).toString("latin1")}`,
          contentType: "",
          body: undefined,
        });
      }),
      { seed, numRuns: scaled(10_000) },
    );
  });
});

describe("locks on names", () => {
  it("let one work at a time have a name, and never wait for each other in a circle", async () => {
    const locks = new NameLocks();
    const held = new Set<string>();
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uniqueArray(fc.constantFrom("a", "b", "c")), { maxLength: 8 }), async (works) => {
        await Promise.all(
          works.map((names) =>
            locks.run(names, async () => {
              for (const name of names) {
                assert.equal(held.has(name), false);
                held.add(name);
              }
              await new Promise((resume) => setImmediate(resume));
              for (const name of names) held.delete(name);
            }),
          ),
        );
      }),
      { seed, numRuns: scaled(1_000) },
    );
  });

  it("are free again after work that failed", async () => {
    const locks = new NameLocks();
    await assert.rejects(locks.run(["a"], () => Promise.reject(new Error("x"))));
    assert.equal(await locks.run(["a", "a"], () => Promise.resolve(1)), 1);
  });
});
