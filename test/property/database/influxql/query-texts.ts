import fc from "fast-check";

/** Generators of InfluxQL texts: valid statements in all their spellings, and texts that are nearly valid. */

const anyCase = (word: string): fc.Arbitrary<string> =>
  fc
    .array(fc.boolean(), { minLength: word.length, maxLength: word.length })
    .map((upper) =>
      [...word].map((each, at) => (upper[at] === true ? each.toUpperCase() : each.toLowerCase())).join(""),
    );

const gap = fc.constantFrom(
  " ",
  "  ",
  "\n",
  "\t",
  "\r\n",
  " -- a; comment\n",
  " /* a; 'comment */ ",
  "\r",
  " --\r",
  "/**/ ",
);
/** Where the grammar may take a regular expression, influxd takes a comment for one. */
const plainGap = fc.constantFrom(" ", "  ", "\n", "\t");
const optionalGap = fc.oneof({ weight: 3, arbitrary: fc.constant("") }, plainGap);

const quotedName = fc
  .string({ unit: fc.constantFrom(..."abc ;,.'/-*é漢\\\"$="), minLength: 1, maxLength: 6 })
  .map((value) => ({ value, text: `"${value.replace(/[\\"]/g, "\\$&")}"` }));
const bareName = fc
  .constantFrom("a", "b1", "_x", "encryption", "off", "Encryption_on", "selected", "enc")
  .map((value) => ({ value, text: value }));
const oddName = quotedName.map(({ value, text }) => ({ value, text: `x${text}` }));
export const name = fc.oneof({ weight: 4, arbitrary: bareName }, { weight: 4, arbitrary: quotedName }, oddName);
const nameText = name.map(({ text }) => text);

const stringText = fc
  .string({ unit: fc.constantFrom(..."abc ;,\"/-*é\\'"), maxLength: 6 })
  .map((value) => `'${value.replace(/[\\']/g, "\\$&")}'`);
const regex = fc.constantFrom("/a/", "/;/", "/a\\/b;/", "/'/", '/"/', "/--/", "/a|b/", "/[/]/".replace("/]", "\\/]"));
const duration = fc.constantFrom("1d", "30d", "INF", "4w", "inf", "1h30m");
const number = fc.constantFrom("1", "2.5", "-3", "1e", "10i", "7").filter((each) => !/[ei]$/.test(each));

/** Words joined by gaps; strings are keywords in any case, arbitraries stay as they are. */
function words(...parts: readonly (string | fc.Arbitrary<string>)[]): fc.Arbitrary<string> {
  const texts = parts.map((part) => (typeof part === "string" ? anyCase(part) : part));
  return fc
    .tuple(fc.tuple(...texts), fc.array(gap, { minLength: parts.length, maxLength: parts.length }))
    .map(([each, gaps]) => each.map((text, at) => (at === 0 ? text : `${gaps[at]}${text}`)).join(""));
}

const measurement = fc.oneof(
  nameText,
  regex,
  fc.tuple(nameText, nameText, nameText).map((parts) => parts.join(".")),
  fc.tuple(nameText, nameText).map(([database, each]) => `${database}..${each}`),
  fc.tuple(nameText, nameText, regex).map((parts) => parts.join(".")),
);
const field = fc.oneof(
  nameText.filter((each) => !/^[a-z]*"/.test(each) || each.startsWith('"')),
  fc.constantFrom(
    "*",
    "mean(a)",
    "a + b",
    "a / 2",
    "a/2/b",
    "count(/a;/)",
    "top(a, 2)",
    "a::field",
    "-a",
    "(a)/(b)",
    "distinct(a)",
  ),
);
const condition = fc.oneof(
  fc.tuple(nameText, stringText).map(([left, right]) => `${left} = ${right}`),
  fc.tuple(nameText, fc.constantFrom("=~", "!~"), optionalGap, regex).map((parts) => parts.join("")),
  fc.tuple(nameText, number).map(([left, right]) => `${left} > ${right}`),
  fc.constantFrom("time > now() - 1h", "a/b = 2", "a = /* ; */ 'x'", "(a = 1 AND b = 2) or c < 3"),
);
const select = fc
  .record({
    fields: fc.array(field, { minLength: 1, maxLength: 3 }),
    into: fc.option(
      fc.tuple(nameText, nameText, nameText).map((parts) => parts.join(".")),
      { nil: undefined },
    ),
    from: fc.array(measurement, { minLength: 1, maxLength: 3 }),
    where: fc.option(condition, { nil: undefined }),
    comma: fc.constantFrom(", ", ",\n", ",  "),
  })
  .map(
    ({ fields, into, from, where, comma }) =>
      `SELECT ${fields.join(", ")}${into === undefined ? "" : ` INTO ${into}`} FROM ${from.join(comma)}${
        where === undefined ? "" : ` WHERE ${where}`
      }`,
  );
const subquery = fc.tuple(select, measurement).map(([inner, other]) => `select a from (${inner}), ${other}`);

const plainOptions = fc
  .record({
    d: duration,
    n: fc.constantFrom("1", "2"),
    s: duration,
    name: nameText,
    which: fc.integer({ min: 1, max: 15 }),
  })
  .map(({ d, n, s, name: policy, which }) =>
    [`DURATION ${d}`, `REPLICATION ${n}`, `SHARD DURATION ${s}`, `NAME ${policy}`].filter((_, at) => (which >> at) & 1),
  );

/** Statements that influxd accepts. */
export const validStatement: fc.Arbitrary<string> = fc.oneof(
  select,
  subquery,
  words("CREATE", "DATABASE", nameText),
  words(
    "CREATE",
    "DATABASE",
    nameText,
    "WITH",
    plainOptions.map((each) => each.join(" ")),
  ),
  words("DROP", "DATABASE", nameText),
  words("SHOW", "DATABASES"),
  words("SHOW", "TAG", "KEYS", "ON", nameText),
  fc.tuple(words("SHOW", "SERIES"), plainGap, measurement).map(([left, space, each]) => `${left} FROM${space}${each}`),
  fc
    .tuple(regex, fc.constantFrom("=", "=~"))
    .map(([each, sign]) => `SHOW MEASUREMENTS WITH MEASUREMENT ${sign} ${each}`),
  words("SHOW", "RETENTION", "POLICIES", "ON", nameText),
  words("DROP", "SHARD", fc.constantFrom("1", "99")),
  words("DROP", "RETENTION", "POLICY", nameText, "ON", nameText),
  words("CREATE", "USER", nameText, "WITH", "PASSWORD", stringText),
  words("GRANT", "READ", "ON", nameText, "TO", nameText),
  words("DELETE", "WHERE", fc.constant("time > 1")),
  fc
    .tuple(nameText, nameText)
    .map(([each, database]) => `CREATE CONTINUOUS QUERY ${each} ON ${database} BEGIN SELECT a INTO b FROM c END`),
);

/** CREATE DATABASE with an encryption clause, in every order that is taken. */
export const statementWithClause: fc.Arbitrary<{ text: string; on: boolean; database: string }> = fc
  .record({ database: name, on: fc.boolean(), options: plainOptions, shuffle: fc.nat(), form: fc.nat({ max: 4 }) })
  .chain(({ database, on, options, shuffle, form }) => {
    const turned = [...options.slice(shuffle % options.length), ...options.slice(0, shuffle % options.length)];
    const clause = ["ENCRYPTION", on ? "ON" : "OFF"];
    const rest = turned.map((each) => fc.constant(each));
    const tails = [
      ["WITH", ...clause],
      clause,
      [...clause, "WITH", ...rest],
      ["WITH", ...clause, ...rest],
      ["WITH", ...rest, ...clause],
    ];
    return words("CREATE", "DATABASE", fc.constant(database.text), ...(tails[form] ?? clause)).map((text) => ({
      text,
      on,
      database: database.value,
    }));
  });

const scraps = fc.constantFrom(
  ";",
  " ",
  "'",
  '"',
  "/",
  "--",
  "/*",
  "*/",
  "\n",
  "\\",
  "ENCRYPTION ON",
  " WITH ",
  "(",
  ")",
  ",",
  ".",
);

/** Texts of one to four statements, some of them spoilt. */
export const queryText: fc.Arbitrary<string> = fc
  .array(fc.oneof({ weight: 6, arbitrary: validStatement }, scraps), { minLength: 1, maxLength: 4 })
  .chain((parts) => fc.constantFrom(";", "; ", ";\n--x\n", ";;", "\r;").map((glue) => parts.join(glue)))
  .chain((text) =>
    fc.oneof(
      { weight: 3, arbitrary: fc.constant(text) },
      fc.tuple(fc.nat({ max: text.length }), scraps).map(([at, scrap]) => text.slice(0, at) + scrap + text.slice(at)),
      fc.nat({ max: text.length }).map((at) => text.slice(0, at) + text.slice(at + 1)),
    ),
  );
